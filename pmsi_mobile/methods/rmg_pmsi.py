"""RMG-PMSI: the network (Eq. 1-6) and the phases of a batch (Algorithm 1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_mobile.config import Config, ModelConfig
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.network.backbones import build_backbone
from pmsi_mobile.network.heads import classifier, smooth_conv


class PMSINet(nn.Module):
    """Backbone, smooth convolutions, multi-stage interaction and S + 1 classifiers (Eq. 1-6).

    `head_names` are the S stages' names, shallow to deep, then `concat`; without `model.progressive` that one alone.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, config.stages, config.weights, last_conv=config.last_conv)
        width, hidden, stages = config.width, config.hidden, config.stages
        *others, last = self.backbone.channels
        self.smooth = nn.ModuleList(smooth_conv(config.heads, channels, width, last=False) for channels in others)
        self.smooth.append(smooth_conv(config.heads, last, width, last=True))
        self.mlp = (
            nn.Sequential(nn.Linear(stages * width, hidden), nn.Dropout(0.5), nn.Linear(hidden, width))
            if config.gates
            else None
        )
        single = self.backbone.stage_names if config.progressive else ()
        self.classifiers = nn.ModuleList(classifier(width, hidden, num_classes) for _ in single)
        self.classifiers.append(classifier(stages * width, hidden, num_classes))
        self.head_names = (*single, "concat")

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] -> the S enhanced feature vectors m_n [B, c] (Eq. 1-3)."""
        return self.embed(self.backbone(images))

    def embed(self, maps: list[Tensor]) -> list[Tensor]:
        """The S stages' maps -> the S enhanced feature vectors m_n [B, c] (Eq. 1-3)."""
        vectors = [F.adaptive_max_pool2d(smooth(x), 1).flatten(1) for smooth, x in zip(self.smooth, maps, strict=True)]
        if self.mlp is None:
            return vectors
        mutual = self.mlp(torch.cat(vectors, dim=1))
        return [x + torch.sigmoid(mutual * x) * x for x in vectors]

    def classify(self, vectors: list[Tensor], phase: int | None = None) -> Tensor:
        """Logits [B, K] of the classifier that `phase` (an index of `head_names`) trains, or of all of them, [B, heads,
        K]."""
        phases = range(len(self.classifiers)) if phase is None else (phase,)
        last = len(self.classifiers) - 1
        logits = [self.classifiers[p](vectors[p] if p < last else torch.cat(vectors, dim=1)) for p in phases]
        return torch.stack(logits, dim=1) if phase is None else logits[0]

    def from_maps(self, maps: list[Tensor], phase: int | None = None) -> Tensor:
        """The stages' maps -> as `classify`."""
        return self.classify(self.embed(maps), phase)

    def forward(self, images: Tensor, phase: int | None = None) -> Tensor:
        """Normalised images [B, 3, H, W] -> as `classify`."""
        return self.classify(self.features(images), phase)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """Shallow to deep on ever larger tiles, then the concat classifier on the original image (Algorithm 1).

    Phase k = 1..S has r = S - k + 1, at most `mosaic.max_recursion`.
    """
    *stage_heads, concat = head_names
    recursions = [min(len(stage_heads) - k, config.mosaic.max_recursion) for k in range(len(stage_heads))]
    stage_phases = [Phase(head, r, 1.0) for head, r in zip(stage_heads, recursions, strict=True)]
    return (*stage_phases, Phase(concat, 0, config.train.concat_weight))
