"""Where a network looks for a class."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pmsi_mobile.methods.registry import Network


def class_activation_maps(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Normalised images [B, 3, H, W] and labels [B] -> the last stage's map of each image's label [B, h, w].

    Channels are weighted by the mean gradient of the label's summed logits, as in Grad-CAM (Selvaraju et al. 2017)
    without its ReLU. For one linear classifier on averaged features that is the class activation map of Zhou et al.
    (2016), times a constant. In eval mode; parameters get no gradient, statistics do not move.
    """
    with _evaluating(network):
        with torch.no_grad():
            *others, last = network.backbone(images)
        with torch.enable_grad():
            last.requires_grad_()
            logits = network.from_maps([*others, last])
            [gradient] = torch.autograd.grad(logits.sum(dim=1).gather(1, labels[:, None]).sum(), last)
        return (gradient.mean((2, 3), keepdim=True) * last.detach()).sum(dim=1)


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
