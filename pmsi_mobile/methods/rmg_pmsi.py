"""The RMG-PMSI network, the plain baseline, and how their heads become one prediction."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_mobile.config import Config, ModelConfig
from pmsi_mobile.network.backbones import build_backbone


class Phase(NamedTuple):
    """One optimisation phase of a batch: the head it trains, the mosaic's recursions r, its loss weight."""

    head: str
    recursions: int
    loss_weight: float


def smooth_conv(kind: str, in_channels: int, width: int) -> nn.Sequential:
    """The smooth convolution block: [B, in_channels, h, w] -> [B, width, h, w]."""

    def norm(channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, momentum=0.01)

    if kind == "released":
        first = nn.Conv2d(in_channels, width // 2, 1, bias=False)
        second = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
    else:
        first = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        second = nn.Conv2d(in_channels, width, 1, bias=False)
    return nn.Sequential(
        first, norm(first.out_channels), nn.ReLU(inplace=True), second, norm(width), nn.ReLU(inplace=True)
    )


def classifier(in_features: int, hidden: int, num_classes: int) -> nn.Sequential:
    """A head's classifier: [B, in_features] -> logits [B, num_classes]."""
    return nn.Sequential(
        nn.BatchNorm1d(in_features),
        nn.Linear(in_features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ELU(),
        nn.Linear(hidden, num_classes),
    )


class PMSINet(nn.Module):
    """Backbone, smooth convolutions, multi-stage interaction and S + 1 classifiers (Eq. 1-6).

    `head_names` are the S stages' names, shallow to deep, then `concat`.
    """

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, config.stages, config.weights)
        width, hidden, stages = config.width, config.hidden, config.stages
        self.smooth = nn.ModuleList(smooth_conv(config.heads, channels, width) for channels in self.backbone.channels)
        self.mlp = nn.Sequential(nn.Linear(stages * width, hidden), nn.Dropout(0.5), nn.Linear(hidden, width))
        self.classifiers = nn.ModuleList(classifier(width, hidden, num_classes) for _ in range(stages))
        self.classifiers.append(classifier(stages * width, hidden, num_classes))
        self.head_names = (*self.backbone.stage_names, "concat")

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] -> the S enhanced feature vectors m_n [B, c] (Eq. 1-3)."""
        maps = self.backbone(images)
        vectors = [F.adaptive_max_pool2d(smooth(x), 1).flatten(1) for smooth, x in zip(self.smooth, maps, strict=True)]
        mutual = self.mlp(torch.cat(vectors, dim=1))
        return [x + torch.sigmoid(mutual * x) * x for x in vectors]

    def forward(self, images: Tensor, phase: int | None = None) -> Tensor:
        """Logits [B, K] of the classifier that `phase` (0..S) trains, or of all of them, [B, S + 1, K]."""
        vectors = self.features(images)
        stages = len(vectors)
        if phase is None:
            inputs = [*vectors, torch.cat(vectors, dim=1)]
            return torch.stack([head(x) for head, x in zip(self.classifiers, inputs, strict=True)], dim=1)
        return self.classifiers[phase](vectors[phase] if phase < stages else torch.cat(vectors, dim=1))


class BaselineNet(nn.Module):
    """The plain backbone classifier: last stage, global average pooling, dropout 0.2, one linear layer."""

    head_names = ("baseline",)

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, 1, config.weights)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.backbone.channels[-1], num_classes))

    def features(self, images: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] -> pooled features [B, C]."""
        return F.adaptive_avg_pool2d(self.backbone(images)[-1], 1).flatten(1)

    def forward(self, images: Tensor, phase: int | None = None) -> Tensor:
        """Logits [B, K] in its one phase, or [B, 1, K]."""
        logits = self.classifier(self.features(images))
        return logits if phase is not None else logits[:, None]


Network = PMSINet | BaselineNet


def build_network(config: Config, num_classes: int, *, load_weights: bool = True) -> Network:
    """Build the configured network; `load_weights=False` skips the initial weights (a checkpoint follows)."""
    model = config.model if load_weights else config.model.model_copy(update={"weights": "none"})
    return BaselineNet(model, num_classes) if config.method == "baseline" else PMSINet(model, num_classes)


def phases(config: Config, head_names: tuple[str, ...]) -> tuple[Phase, ...]:
    """The phases of one batch (Algorithm 1): shallow to deep on ever coarser mosaics, then concat on the original.

    Phase k = 1..S has r = S - k + 1, at most `mosaic.max_recursion`. The baseline has one, on the original.
    """
    *stage_heads, last = head_names
    recursions = [min(len(stage_heads) - k, config.mosaic.max_recursion) for k in range(len(stage_heads))]
    stage_phases = [Phase(head, r, 1.0) for head, r in zip(stage_heads, recursions, strict=True)]
    return (*stage_phases, Phase(last, 0, config.train.concat_weight if stage_heads else 1.0))


def mix(logits: Tensor, rule: str) -> Tensor:
    """Mix all heads (Eq. 8): logits [B, heads, K] -> probabilities [B, K].

    `logits`: softmax of the summed logits; `probabilities`: mean of the heads' softmaxes.
    """
    if rule == "logits":
        return logits.sum(dim=1).softmax(dim=-1)
    return logits.softmax(dim=-1).mean(dim=1)
