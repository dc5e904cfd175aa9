"""Cross-layer equalisation: every channel of a tensor between linear layers uses the tensor's int8 range.

A tensor that comes from layers and goes to layers, with nothing but additions, maxima and ReLUs between, may be divided
by any positive scale per channel: rows of the layers before it are divided, columns of the layers after it multiplied,
and the network computes what it computed. In MobileNetV2 these are the linear bottlenecks with their residual sums;
their int8 rounding is what costs most (Nagel et al. 2019, section 4.1, where ReLU6 stands in the way of the rest).
"""

from typing import NamedTuple

import torch
from torch import Tensor, fx

from pmsi_export.weights.layerwise import CONV, LINEAR, Chunks, Program, convolution, is_layer, parameter_names

_HOMOGENEOUS = {
    torch.ops.aten.add.Tensor,
    torch.ops.aten.add_.Tensor,
    torch.ops.aten.relu.default,
    torch.ops.aten.relu_.default,
    torch.ops.aten.max_pool2d.default,
}
_SMALLEST_SCALE = 1e-3


class _Tied(NamedTuple):
    """Tensors that must share their channels' scales, and the layers that write and read them."""

    tensors: list[fx.Node]
    writers: list[fx.Node]
    readers: list[fx.Node]


def equalise(program: Program) -> None:
    """Change the program's weights and biases by the ranges that its photos show; what it computes stays the same."""
    groups = _tied_tensors(program)
    ranges = {tensor: torch.zeros(()) for group in groups for tensor in group.tensors}

    def watch(node: fx.Node, values: list[Chunks]) -> list[Chunks]:
        if node in ranges:
            for chunk in values[0]:
                largest = chunk.transpose(0, 1).flatten(1).abs().amax(dim=1)
                ranges[node] = torch.maximum(ranges[node], largest)
        return values

    for chunk in program.photos:
        program.run([[chunk]], after=watch)
    for group in groups:
        # Of all tensors of a group, the one whose channel comes nearest to filling its range sets the scale.
        filled = torch.stack([ranges[tensor] / ranges[tensor].max().clamp_min(1e-12) for tensor in group.tensors])
        _rescale(program, group, filled.amax(dim=0).clamp_min(_SMALLEST_SCALE))


def _rescale(program: Program, group: _Tied, scale: Tensor) -> None:
    """Divide the group's tensors by scale [C]."""
    constants = program.constants
    for writer in group.writers:
        for name in parameter_names(writer):
            constants[name] = constants[name] / scale.view(-1, *[1] * (constants[name].dim() - 1))
    for reader in group.readers:
        weight, _ = parameter_names(reader)
        # A depthwise convolution's weight has its channels in front.
        shape = (-1, 1, 1, 1) if _is_depthwise(reader) else (1, -1, *[1] * (constants[weight].dim() - 2))
        constants[weight] = constants[weight] * scale.view(shape)


def _tied_tensors(program: Program) -> list[_Tied]:
    tensors = [node for node in program.nodes if node.op in ("call_function", "placeholder")]
    leader = {node: node for node in tensors}

    def find(node: fx.Node) -> fx.Node:
        while leader[node] is not node:
            node = leader[node]
        return node

    for node in tensors:
        if _is_homogeneous(node):
            for used in node.all_input_nodes:
                leader[find(used)] = find(node)
    groups: dict[fx.Node, _Tied] = {}
    fixed = set()
    for node in tensors:
        group = groups.setdefault(find(node), _Tied([], [], []))
        group.tensors.append(node)
        if is_layer(node):
            group.writers.append(node)
        readers = [user for user in node.users if not _is_homogeneous(user)]
        group.readers.extend(readers)
        scalable = is_layer(node) or _is_homogeneous(node)
        if not scalable or not all(_reads_channels(reader, node) for reader in readers):
            fixed.add(find(node))
    return [group for first, group in groups.items() if first not in fixed]


def _is_homogeneous(node: fx.Node) -> bool:
    """An operation f with f(x / s) = f(x) / s for any positive scale s per channel."""
    if node.target not in _HOMOGENEOUS or node.kwargs:
        return False
    operands = [each for each in node.args if not isinstance(each, list)]
    tensors = [each for each in operands if isinstance(each, fx.Node) and each.op != "get_attr"]
    return len(tensors) == len(operands) and len({tensor.meta["val"].shape for tensor in tensors}) == 1


def _reads_channels(node: fx.Node, tensor: fx.Node) -> bool:
    """A layer whose weight can take a scale of `tensor`'s channels, which are its input and its axis 1."""
    if not is_layer(node) or node.args[0] is not tensor:
        return False
    if node.target is LINEAR:
        return len(tensor.meta["val"].shape) == 2
    return convolution(node).groups == 1 or _is_depthwise(node)


def _is_depthwise(node: fx.Node) -> bool:
    if node.target is not CONV:
        return False
    channels, groups = node.args[0].meta["val"].shape[1], convolution(node).groups  # type: ignore[union-attr]
    return groups == channels == node.meta["val"].shape[1] and groups > 1
