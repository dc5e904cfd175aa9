"""float16 weights without a bias from their rounding."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Graph = TypeVar("Graph", bound=nn.Module)


@torch.no_grad()
def round_to_half(graph: Graph, images: Tensor, *, biases: bool = False) -> Graph:
    """A copy with float32 weights that float16 holds exactly, and biases too if the format stores them so.

    images: uint8 [N, 3, H, W]; on them each layer's mean output per channel, behind layers rounded before it, stays
    what it was. Folding a BatchNorm with a small variance leaves weights that cancel against each other or their
    bias: there a rounding error of 1/2048 is as large as what is left.
    """
    halved = copy.deepcopy(graph)

    def round_layer(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        exact = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
        bias = exact.half().float() if biases else exact.clone()
        means = inputs[0].transpose(1 if isinstance(layer, nn.Conv2d) else -1, 0).flatten(1).mean(dim=1)
        weight, missing = round_weight_to_half(layer.weight, means, exact - bias)
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_((bias + missing).half() if biases else bias + missing)

    layers = [module for module in halved.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_pre_hook(round_layer) for layer in layers]
    halved(images.float())
    for hook in hooks:
        hook.remove()
    return halved


def round_weight_to_half(weight: Tensor, means: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
    """Each weight [O, I, ...] to one of the two float16 numbers beside it, so that the outputs' means stay.

    means: of the inputs [channels]. missing [O]: of the outputs' means, to be made up for; a bias's own rounding.
    Returns the weight, and what of the means is still missing. From large weights, with coarse steps, to small ones,
    whose fine steps settle the rest.
    """
    groups = len(means) // weight.shape[1]
    of_row = means.double().view(groups, -1).repeat_interleave(len(weight) // groups, dim=0)
    factors = of_row.repeat_interleave(weight[0, 0].numel(), dim=1)
    exact, missing = weight.flatten(1).double(), missing.double()
    rounded = torch.empty_like(exact)
    for columns in exact.abs().argsort(dim=1, descending=True).t()[..., None]:
        value, factor = exact.gather(1, columns)[:, 0], factors.gather(1, columns)[:, 0]
        nearest = value.half()
        half_step = (nearest.abs().nextafter(nearest.new_tensor(torch.inf)) - nearest.abs()).double() / 2
        move = torch.where(factor == 0, 0, missing / factor).clamp(-half_step, half_step)
        chosen = (value + move).half().double()
        missing = missing + (value - chosen) * factor
        rounded.scatter_(1, columns, chosen[:, None])
    return rounded.float().view_as(weight), missing.float()
