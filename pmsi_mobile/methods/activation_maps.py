"""Where a network looks for a class."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pmsi_mobile.methods.registry import Network


def class_activation_maps(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Normalised images [B, 3, H, W] and labels [B] -> the last stage's map of each image's label [B, h, w].

    As `gradient_maps`; for one linear classifier on averaged features that is the class activation map of Zhou et al.
    (2016), times a constant.
    """
    return gradient_maps(network, images, labels)[-1]


def gradient_maps(network: Network, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Normalised images [B, 3, H, W] and labels [B] -> a map [B, h, w] of each image's label for each stage that the
    network's heads read, shallow to deep.

    Channels are weighted by the mean gradient of the label's summed logits, as in Grad-CAM (Selvaraju et al. 2017)
    without its ReLU. In eval mode; parameters get no gradient, statistics do not move.
    """
    with _evaluating(network):
        with torch.no_grad():
            maps = network.backbone(images)
        with torch.enable_grad():
            read = [each.clone().requires_grad_() for each in maps]
            logits = network.from_maps(read)
            gradients = torch.autograd.grad(logits.sum(dim=1).gather(1, labels[:, None]).sum(), read)
        return [
            (gradient.mean((2, 3), keepdim=True) * each).sum(dim=1)
            for gradient, each in zip(gradients, maps, strict=True)
        ]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode, and afterwards each module in the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        network.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
