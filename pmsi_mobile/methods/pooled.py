"""A network with one classifier on one vector."""

from torch import Tensor, nn

from pmsi_mobile.config import Config
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.network.backbones import StagedBackbone, TimmBackbone


class PooledNet(nn.Module):
    """Backbone, pooling and classifier.

    pooling: the backbone's maps -> [B, D]; classifier: [B, D] -> logits [B, K], a linear layer or a sequence that ends
    in one. name: of the only head.
    """

    def __init__(
        self, name: str, backbone: StagedBackbone | TimmBackbone, pooling: nn.Module, classifier: nn.Module
    ) -> None:
        super().__init__()
        self.head_names = (name,)
        self.backbone = backbone
        self.pooling = pooling
        self.classifier = classifier

    def features(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] -> pooled features [B, D]."""
        return self.pooling(self.backbone(images))

    def classify(self, features: Tensor, phase: int | None = None) -> Tensor:
        """Logits [B, K] in its one phase, or [B, 1, K]."""
        logits = self.classifier(features)
        return logits if phase is not None else logits[:, None]

    def from_maps(self, maps: list[Tensor], phase: int | None = None) -> Tensor:
        """The stages' maps -> as `classify`."""
        return self.classify(self.pooling(maps), phase)

    def forward(self, images: Tensor, phase: int | None = None) -> Tensor:
        """Normalised images [B, 3, H, W] -> as `classify`."""
        return self.classify(self.features(images), phase)


def one_phase(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """One phase, on the original image."""
    return (Phase(head_names[0], 0, 1.0),)
