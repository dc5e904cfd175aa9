"""HBP: bilinear products of the last three blocks' features (Yu et al. 2018)."""

from torch import nn

from pmsi_mobile.config import ModelConfig
from pmsi_mobile.methods.pooled import PooledNet
from pmsi_mobile.network.backbones import build_backbone, last_blocks
from pmsi_mobile.network.poolings import HierarchicalBilinearPooling


class HBPNet(PooledNet):
    """The last three blocks projected to `projection` channels, the three products of two of them, one linear layer.

    mobilenet_v2 has no last convolution in it: features[15], [16], [17], or without `last_block` [14], [15], [16].
    Raises PmsiError for a backbone whose last stage has too few blocks.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        last_conv = config.backbone != "mobilenet_v2"
        backbone = last_blocks(
            build_backbone(config.backbone, 1, config.weights, last_conv=last_conv), 3, dropped=not config.last_block
        )
        pooling = HierarchicalBilinearPooling(backbone.channels, config.projection)
        super().__init__("hbp", backbone, pooling, nn.Linear(3 * config.projection, num_classes))
