"""What a phase minimises."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pmsi_mobile.config import TrainConfig
from pmsi_mobile.methods.objective import Targets


class Loss:
    """Cross entropy, with the labels smoothed and the classes weighted as configured; where a teacher gives soft
    labels, mixed with the Kullback-Leibler divergence from them (Hinton et al. 2015).

    labels: the training photos', for the weights of the classes.
    """

    def __init__(self, config: TrainConfig, labels: Tensor, classes: int) -> None:
        self.config = config
        self.classes = classes
        self.class_weights = balanced_weights(labels, classes) if config.class_weights == "balanced" else None

    def __call__(self, logits: Tensor, targets: Targets) -> Tensor:
        """logits [B, K], targets, soft labels at `train.temperature` -> scalar."""
        config, (labels, soft_labels) = self.config, targets
        entropy = F.cross_entropy(logits, labels, self.class_weights, label_smoothing=config.label_smoothing)
        if soft_labels is None:
            return entropy
        softened = F.log_softmax(logits / config.temperature, dim=1)
        # Its gradients are smaller by the square of the temperature.
        divergence = config.temperature**2 * F.kl_div(softened, soft_labels, reduction="batchmean")
        return (1 - config.distill_weight) * entropy + config.distill_weight * divergence

    def to(self, device: torch.device) -> "Loss":
        """Move the weights of the classes; returns self."""
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(device)
        return self


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """[K]: inversely proportional to how many of `labels` [N] a class has; their mean over the labels is 1."""
    return len(labels) / (classes * torch.bincount(labels, minlength=classes).clamp_min(1))
