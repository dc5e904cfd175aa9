"""A graph as a list of tensor operations, run one at a time on many photos: every layer is seen with its inputs.

Two networks of the same operations can go side by side, each operation on both before the next.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

CONV, LINEAR = torch.ops.aten.conv2d.default, torch.ops.aten.linear.default

Chunks = list[Any]
"""A value for all photos: one tensor [photos, ...] for every few of them."""

OnLayer = Callable[[fx.Node, list[Chunks]], list[Chunks]]
After = Callable[[fx.Node, list[Chunks]], list[Chunks]]

_CHUNK_PIXELS = 16 * 128 * 128
"""Few photos at a time: their tensors are taken from memory that the process has already."""


class Program:
    """The operations of `graph` on `photos`, uint8 [N, H, W, 3].

    photos: as chunks of float32 [few, 3, H, W]; the last ones that do not fill a chunk are left out.
    constants: copies of the weights and other tensors of the graph, under their names there.
    """

    def __init__(self, graph: nn.Module, photos: NDArray[np.uint8]) -> None:
        count, height, width, _ = photos.shape
        chunk = min(count, max(1, _CHUNK_PIXELS // (height * width)))
        whole = torch.from_numpy(photos[: count // chunk * chunk]).permute(0, 3, 1, 2)
        self.photos = [part.float().contiguous(memory_format=torch.channels_last) for part in whole.split(chunk)]
        exported = torch.export.export(graph, (self.photos[0],)).module()
        self.nodes = [node for node in exported.graph.nodes if node.op != "call_module"]
        names = [str(node.target) for node in self.nodes if node.op == "get_attr"]
        self.constants: dict[str, Tensor] = {name: attrgetter(name)(exported).detach().clone() for name in names}
        self._last_users: dict[fx.Node, fx.Node] = {}
        for node in self.nodes:
            self._last_users |= dict.fromkeys(node.all_input_nodes, node)

    @torch.no_grad()
    def run(self, inputs: Sequence[Chunks], on_layer: OnLayer | None = None, after: After | None = None) -> None:
        """Run one network per input. A value is given up as soon as nothing needs it.

        on_layer(node, inputs of the layer per network) -> its outputs, for every layer (see `is_layer`) instead of
        computing it. after(node, values per network) -> the values to go on with, for every other operation too.
        """
        values: list[dict[fx.Node, Chunks]] = [{} for _ in inputs]
        for node in self.nodes:
            if node.op == "output":
                return
            if node.op == "placeholder":
                results = [list(chunks) for chunks in inputs]
            elif node.op == "get_attr":
                results = [[self.constants[str(node.target)]] * len(chunks) for chunks in inputs]
            elif on_layer and is_layer(node):
                results = on_layer(node, [known[cast(fx.Node, node.args[0])] for known in values])
            else:
                results = [self._compute(node, known, len(inputs[0])) for known in values]
            if after and node.op != "get_attr":
                results = after(node, results)
            for known, result in zip(values, results, strict=True):
                known[node] = result
                for used in node.all_input_nodes:
                    if self._last_users[used] is node:
                        del known[used]

    def _compute(self, node: fx.Node, known: dict[fx.Node, Chunks], chunks: int) -> Chunks:
        operation = cast(Callable[..., Any], node.target)

        def on_chunk(position: int) -> Any:
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda used: known[used][position])
            return operation(*args, **kwargs)

        return [on_chunk(position) for position in range(chunks)]


def is_layer(node: fx.Node) -> bool:
    """A convolution or linear layer with a weight and a bias of its own."""
    if node.target not in (CONV, LINEAR) or len(node.args) < 3:
        return False
    return all(isinstance(each, fx.Node) and each.op == "get_attr" and len(each.users) == 1 for each in node.args[1:3])


def parameter_names(layer: fx.Node) -> tuple[str, str]:
    """Of a layer's weight and bias."""
    _, weight, bias, *_ = layer.args
    return str(cast(fx.Node, weight).target), str(cast(fx.Node, bias).target)


class Convolution(NamedTuple):
    """What a convolution does besides multiplying."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def convolution(layer: fx.Node) -> Convolution:
    given: list[Any] = [tuple(each) if isinstance(each, list) else each for each in layer.args[3:]]
    return Convolution(*given)


def compute_layer(layer: fx.Node, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return cast(Tensor, cast(Callable[..., Any], layer.target)(x, weight, bias, *layer.args[3:]))


def by_channel(layer: fx.Node, x: Tensor) -> Tensor:
    """An input or output of `layer` as [C, everything else]."""
    return x.flatten(0, -2).t() if layer.target is LINEAR else x.transpose(0, 1).flatten(1)
