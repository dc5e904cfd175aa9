"""API-Net: attentive pairwise interaction (Zhuang et al. 2020)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_mobile.config import ModelConfig
from pmsi_mobile.methods.baseline import BaselineNet
from pmsi_mobile.methods.objective import Criterion, Targets

HIDDEN = 512
MARGIN = 0.05


class Comparison(NamedTuple):
    """Both photos of P pairs. own, other: logits [2 P, K] of a photo's features under its own gate and under its
    partner's; photos: [2 P], which photo of the batch a row is of."""

    own: Tensor
    other: Tensor
    photos: Tensor


class APINet(BaselineNet):
    """The plain classifier; in training it compares each photo with the nearest of its class and of the others."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, "api", dropout=0.5)
        width = self.backbone.channels[-1]
        self.mutual = nn.Sequential(nn.Linear(2 * width, HIDDEN), nn.Dropout(0.5), nn.Linear(HIDDEN, width))

    def compare(self, features: Tensor, labels: Tensor) -> Comparison:
        """Features [B, D] and labels [B] -> the gated features' logits (Eq. 1-4 of API-Net's paper)."""
        first, second = nearest_pairs(features, labels)
        one, two = features[first], features[second]
        mutual = self.mutual(torch.cat([one, two], dim=1))
        gate_one, gate_two = torch.sigmoid(mutual * one), torch.sigmoid(mutual * two)
        own = torch.cat([one + gate_one * one, two + gate_two * two])
        other = torch.cat([one + gate_two * one, two + gate_one * two])
        return Comparison(self.classifier(own), self.classifier(other), torch.cat([first, second]))

    def forward(  # type: ignore[override]
        self, images: Tensor, phase: int | None = None, labels: Tensor | None = None
    ) -> Tensor | Comparison:
        """Normalised images [B, 3, H, W] -> as `classify`; with labels [B] the comparison of their pairs."""
        features = self.features(images)
        return self.classify(features, phase) if labels is None else self.compare(features, labels)


def objective(model: nn.Module, images: Tensor, phase: int, targets: Targets, criterion: Criterion) -> Tensor:
    """Cross entropy under both gates, and that a photo is surer of its class under its own (Eq. 6-8 of its paper)."""
    own, other, photos = model(images, phase=phase, labels=targets.labels)
    of_pairs = targets.take(photos)
    entropy = (criterion(own, of_pairs) + criterion(other, of_pairs)) / 2
    own_score, other_score = (
        logits.softmax(dim=1).gather(1, of_pairs.labels[:, None]).squeeze(1) for logits in (own, other)
    )
    return entropy + F.margin_ranking_loss(own_score, other_score, torch.ones_like(own_score), margin=MARGIN)


def nearest_pairs(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Features [B, D], labels [B] -> indices [P], [P]: each photo with the nearest of its own class, then each with the
    nearest of the others, by Euclidean distance; without such a photo there is no pair."""
    distances = torch.cdist(features.detach(), features.detach())
    same = labels[:, None] == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    first, second = [], []
    for candidates in (same & ~itself, ~same):
        nearest = distances.where(candidates, torch.inf).argmin(dim=1)
        [have] = candidates.any(dim=1).nonzero(as_tuple=True)
        first.append(have)
        second.append(nearest[have])
    return torch.cat(first), torch.cat(second)
