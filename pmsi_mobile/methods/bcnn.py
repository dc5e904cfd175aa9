"""B-CNN: bilinear pooling of a backbone's features with themselves (Lin et al. 2015)."""

from torch import nn

from pmsi_mobile.config import ModelConfig
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.network.backbones import build_backbone
from pmsi_mobile.network.poolings import BilinearPooling


class BCNNNet(PooledNet):
    """The last stage's C channels, their C * C products averaged over the places, one linear layer.

    mobilenet_v2 has no last convolution in it: 320 channels, 102,400 products.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        last_conv = config.backbone != "mobilenet_v2"
        backbone = build_backbone(config.backbone, 1, config.weights, last_conv=last_conv)
        classifier = nn.Linear(backbone.channels[-1] ** 2, num_classes)
        super().__init__("bcnn", backbone, BilinearPooling(), classifier)
