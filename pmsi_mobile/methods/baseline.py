"""The plain backbone classifier, what every method is compared with."""

from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_mobile.config import Config, ModelConfig
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.network.backbones import build_backbone


class BaselineNet(nn.Module):
    """The plain backbone classifier: last stage, global average pooling, dropout 0.2, one linear layer."""

    head_names = ("baseline",)

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, 1, config.weights, last_conv=config.last_conv)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.backbone.channels[-1], num_classes))

    def features(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] -> pooled features [B, C]."""
        return self.embed(self.backbone(images))

    def embed(self, maps: list[Tensor]) -> Tensor:
        """The stages' maps -> pooled features [B, C]."""
        return F.adaptive_avg_pool2d(maps[-1], 1).flatten(1)

    def classify(self, features: Tensor, phase: int | None = None) -> Tensor:
        """Logits [B, K] in its one phase, or [B, 1, K]."""
        logits = self.classifier(features)
        return logits if phase is not None else logits[:, None]

    def from_maps(self, maps: list[Tensor], phase: int | None = None) -> Tensor:
        """The stages' maps -> as `classify`."""
        return self.classify(self.embed(maps), phase)

    def forward(self, images: Tensor, phase: int | None = None) -> Tensor:
        """Normalised images [B, 3, H, W] -> as `classify`."""
        return self.classify(self.features(images), phase)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """One phase, on the original image."""
    return (Phase(head_names[0], 0, 1.0),)
