"""The plain backbone classifier, what every method is compared with."""

from torch import nn

from pmsi_mobile.config import ModelConfig
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.network.backbones import build_backbone
from pmsi_mobile.network.poolings import GlobalAverage


class BaselineNet(PooledNet):
    """The plain backbone classifier: last stage, global average pooling, dropout, one linear layer."""

    def __init__(self, config: ModelConfig, num_classes: int, name: str = "baseline", dropout: float = 0.2) -> None:
        backbone = build_backbone(config.backbone, 1, config.weights, last_conv=config.last_conv)
        classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(backbone.channels[-1], num_classes))
        super().__init__(name, backbone, GlobalAverage(), classifier)
