"""float16 weights without a bias from their rounding."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Graph = TypeVar("Graph", bound=nn.Module)


@torch.no_grad()
def round_to_half(graph: Graph, images: Tensor) -> Graph:
    """A copy with float32 weights that float16 holds exactly, and biases corrected for the rounding.

    images: uint8 [N, 3, H, W]; on them each layer's mean output per channel, behind layers rounded before it, stays
    what it was. Folding a BatchNorm with a tiny variance leaves weights in the hundreds that cancel against their
    bias: there a rounding error of 1/2048 is as large as what is left.
    """
    halved = copy.deepcopy(graph)

    def correct(layer: nn.Module, inputs: tuple[Any, ...], exact: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert layer.bias is not None
        layer.weight.copy_(layer.weight.half())
        rounded: Tensor = layer.forward(*inputs)
        shift = (rounded - exact).mean(dim=[d for d in range(exact.dim()) if d != 1], keepdim=True)
        layer.bias -= shift.flatten()
        return rounded - shift

    layers = [module for module in halved.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(correct) for layer in layers]
    halved(images.float())
    for hook in hooks:
        hook.remove()
    return halved
