"""PC: pairwise confusion (Dubey et al. 2018)."""

from torch import Tensor, nn

from pmsi_mobile.config import ModelConfig
from pmsi_mobile.methods.baseline import BaselineNet
from pmsi_mobile.methods.objective import Criterion, Targets

WEIGHT_PER_CLASS = 0.05
"""Of the confusion, times the number of classes: the 0.1 that its authors advise, whose program halves the mean."""


class PCNet(BaselineNet):
    """The plain classifier: pairwise confusion changes its training alone."""

    def __init__(self, config: ModelConfig, num_classes: int) -> None:
        super().__init__(config, num_classes, "pc")


def objective(model: nn.Module, images: Tensor, phase: int, targets: Targets, criterion: Criterion) -> Tensor:
    """Cross entropy and the confusion of the batch's halves."""
    logits = model(images, phase=phase)
    weight = WEIGHT_PER_CLASS * logits.shape[1]
    return criterion(logits, targets) + weight * euclidean_confusion(logits, targets.labels)


def euclidean_confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean distance between the predictions of pairs: logits [B, K], labels [B] -> scalar.

    The n-th photo of a batch's first half makes a pair with the n-th of its second; those of one class count as 0.
    """
    half = len(labels) // 2
    probabilities = logits.softmax(dim=1)
    distances = (probabilities[:half] - probabilities[half : 2 * half]).norm(dim=1)
    return ((labels[:half] != labels[half : 2 * half]) * distances).mean()
