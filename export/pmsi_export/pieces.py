"""Inverted residuals in pieces, where their widest map does not fit a CPU's caches.

Between its two pointwise convolutions an inverted residual is six times as wide as around them. MobileNetV2's first one
makes 19 MB out of 16 channels at 448 px: that takes longer to write and to read again than to compute. The channels in
between have nothing to do with one another until the last convolution adds them up, so they can come some at a time.
"""

import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from pmsi_export.contract import Contract
from pmsi_export.fold import MixGraph

LARGEST_BYTES = 4 << 20
"""Of a float32 map that is not split."""
MOST_INPUTS = 16
"""Channels in front. With more of them arithmetic takes longer than memory, and pieces gain nothing (measured)."""
CHANNELS = 32
"""Of a piece: kernels work on 8 to 32 at a time."""


class InPieces(nn.Module):
    """[B, C, H, W] -> the sum of what its pieces give."""

    def __init__(self, pieces: list[nn.Module]) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(pieces)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = [piece(x) for piece in self.pieces]
        return sum(others, first)


def in_pieces(graph: MixGraph, contract: Contract) -> MixGraph:
    """The same function of images of the contract's size, equal to rounding; `graph` is not changed.

    Of a float file only: int8 maps are a quarter as large, and their scales are those of whole layers.
    """
    if contract.precision not in ("fp32", "fp16") or not isinstance(graph.backbone, fx.GraphModule):
        return graph
    backbone = copy.deepcopy(graph.backbone)
    side = contract.preprocessing.crop
    ShapeProp(backbone).propagate(torch.zeros(1, 3, side, side))
    for chain in list(_inverted_residuals(backbone)):
        modules = [backbone.get_submodule(str(node.target)) for node in chain]
        widest = 4 * chain[0].meta["tensor_meta"].shape.numel()
        if cast(nn.Conv2d, modules[0]).in_channels > MOST_INPUTS or widest <= LARGEST_BYTES:
            continue
        name = str(chain[0].target).replace(".", "_") + "_in_pieces"
        backbone.add_submodule(name, _split(*modules))
        with backbone.graph.inserting_after(chain[-1]):
            replacement = backbone.graph.call_module(name, chain[0].args)
        chain[-1].replace_all_uses_with(replacement)
        for node in reversed(chain):
            backbone.graph.erase_node(node)
    backbone.delete_all_unused_submodules()
    backbone.recompile()
    return MixGraph(graph.mean, backbone, graph.head, graph.top_k).eval()


def _inverted_residuals(backbone: fx.GraphModule) -> Iterator[list[fx.Node]]:
    """Pointwise convolution, activation, depthwise convolution, activation, pointwise convolution: nodes in a row."""
    for start in backbone.graph.nodes:
        chain = [start]
        while len(chain) < 5 and len(chain[-1].users) == 1:
            chain.append(next(iter(chain[-1].users)))
        if len(chain) < 5 or any(node.op != "call_module" for node in chain):
            continue
        expand, first_act, depthwise, second_act, project = (backbone.get_submodule(str(node.target)) for node in chain)
        if (
            _is_pointwise(expand)
            and _is_pointwise(project)
            and type(depthwise) is nn.Conv2d
            and depthwise.groups == depthwise.in_channels == depthwise.out_channels
            and all(isinstance(act, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.Hardswish) for act in (first_act, second_act))
        ):
            yield chain


def _is_pointwise(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and module.kernel_size == (1, 1) and module.groups == 1


def _split(
    expand: nn.Module, first_act: nn.Module, depthwise: nn.Module, second_act: nn.Module, project: nn.Module
) -> InPieces:
    wide, deep, narrow = (cast(nn.Conv2d, module) for module in (expand, depthwise, project))
    pieces: list[nn.Module] = []
    for start in range(0, wide.out_channels, CHANNELS):
        part = slice(start, start + CHANNELS)
        # The last bias is added once.
        bias = narrow.bias if start == 0 else None
        pieces.append(
            nn.Sequential(
                _convolution(wide, wide.weight[part], _of(wide.bias, part)),
                first_act,
                _convolution(deep, deep.weight[part], _of(deep.bias, part)),
                second_act,
                _convolution(narrow, narrow.weight[:, part], bias),
            )
        )
    return InPieces(pieces)


def _of(bias: Tensor | None, part: slice) -> Tensor | None:
    return None if bias is None else bias[part]


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution as `like` with some of its weights."""
    groups = 1 if like.groups == 1 else len(weight)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        cast(tuple[int, int], like.kernel_size),
        cast(tuple[int, int], like.stride),
        cast(tuple[int, int], like.padding),
        cast(tuple[int, int], like.dilation),
        groups,
        bias is not None,
        device="meta",
    )
    layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return layer
