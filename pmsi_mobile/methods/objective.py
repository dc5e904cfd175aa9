"""What a method minimises in a phase."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn


class Targets(NamedTuple):
    """What a batch should give. labels: [B], or how much of each class [B, K]; soft_labels: a teacher's probabilities
    [B, K]."""

    labels: Tensor
    soft_labels: Tensor | None = None

    def take(self, photos: Tensor) -> "Targets":
        """Those of `photos` [N], indices in the batch."""
        return Targets(self.labels[photos], None if self.soft_labels is None else self.soft_labels[photos])


Criterion = Callable[[Tensor, Targets], Tensor]
"""Logits [B, K] and targets -> the configured cross entropy, with its smoothing, weights and teachers."""

Objective = Callable[[nn.Module, Tensor, int, Targets, Criterion], Tensor]
"""The network (wrapped, where several processes train it), normalised images [B, 3, H, W], the phase's index, targets
and the criterion -> the loss, a scalar."""


def cross_entropy(model: nn.Module, images: Tensor, phase: int, targets: Targets, criterion: Criterion) -> Tensor:
    """The criterion of the phase's own logits."""
    return criterion(model(images, phase=phase), targets)
