"""Weights and biases of the folded graph made ready for int8, once for all formats.

What int8 costs a mobile network is not the eight bits but where they go wrong: a channel that does not use its
tensor's range, a weight rounded without a look at its inputs, a mean that the rounding shifts. Three steps on
calibration photos, none of which costs anything at inference:

1. cross-layer equalisation (`equalise.py`);
2. layer after layer, in the order of execution, weights are put on their int8 grid (`rounding.py`) for the inputs that
   the quantised network so far gives, activations rounded too;
3. the mean shift of each layer's outputs against the float network is taken out of its bias.

The result is still a float graph. Every format's own quantiser finds the same integers in it.
"""

import copy
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.nn import functional as F

from pmsi_export.graph.fold import MeanProducts, MixGraph
from pmsi_export.weights.equalise import equalise
from pmsi_export.weights.layerwise import (
    CONV,
    LINEAR,
    Chunks,
    Program,
    by_channel,
    compute_layer,
    convolution,
    parameter_names,
)
from pmsi_export.weights.rounding import round_weight

_PIXELS = 256 * 160 * 160
"""Of calibration photos together. They are held in memory layer by layer: about 3 GB for MobileNetV2."""
_POSITIONS = 40_000
"""Output positions of a layer from which its inputs' covariance is taken."""
_ATEN = torch.ops.aten
_PASS_ON = (_ATEN.softmax.int, _ATEN.max_pool2d.default, _ATEN.flatten.using_ints)
"""Their values stay in the range that they came in; the softmax is left in float."""
_TAKE_ACTIVATION = (CONV, LINEAR, _ATEN.add.Tensor, _ATEN.add_.Tensor)
_ACTIVATIONS = {getattr(_ATEN, name).default for name in ("relu", "relu_", "hardtanh", "hardtanh_", "relu6", "relu6_")}
"""What every runtime computes together with an operation of the line before."""


class LayerLoss(NamedTuple):
    """What int8 costs at one layer, as signal-to-noise ratios in dB (more is better)."""

    name: str
    weight: float
    """Of the weights against their rounding."""
    output: float
    """Of the outputs of the float network against those of the quantised one, activations rounded as well."""


def quantise(graph: MixGraph, images: NDArray[np.uint8], *, paired_sums: bool = False) -> MixGraph:
    """`graph` with weights on their int8 grids and biases corrected, for photos [N, H, W, 3] like `images`.

    paired_sums: no two weights whose products a kernel adds in 16 bits overflow them (see `rounding.PAIR_SUM`).
    """
    return _quantise(graph, images, paired_sums)[0]


def diagnose(graph: MixGraph, images: NDArray[np.uint8]) -> list[LayerLoss]:
    """What `quantise` loses at each layer, in the order of execution: it shows the tensors that int8 does not suit."""
    return _quantise(graph, images, paired_sums=False)[1]


def _quantise(graph: MixGraph, images: NDArray[np.uint8], paired_sums: bool) -> tuple[MixGraph, list[LayerLoss]]:
    program = Program(graph, sample(images))
    equalise(program)
    rounded: dict[str, Tensor] = dict(program.constants)
    losses = []

    def on_layer(layer: fx.Node, values: list[Chunks]) -> list[Chunks]:
        exact_inputs, own_inputs = values
        names = parameter_names(layer)
        weight, bias = (program.constants[name] for name in names)
        exact = [compute_layer(layer, x, weight, bias) for x in exact_inputs]
        partners = pairs(layer, weight) if paired_sums else []
        new_weight = _round(layer, weight, own_inputs, _largest(exact), partners)
        own = [compute_layer(layer, x, new_weight, bias) for x in own_inputs]
        shift = channel_means(layer, exact) - channel_means(layer, own)
        for x in own:
            x += shift if layer.target is LINEAR else shift.view(-1, 1, 1)
        rounded.update(zip(names, (new_weight, bias + shift), strict=True))
        losses.append(LayerLoss(names[0].removesuffix(".weight"), _ratio([weight], [new_weight]), _ratio(exact, own)))
        return [exact, own]

    def after(node: fx.Node, values: list[Chunks]) -> list[Chunks]:
        return [values[0], _round_activation(values[1])] if _is_stored(node) else values

    program.run([program.photos, program.photos], on_layer, after)
    result = copy.deepcopy(graph)
    result.load_state_dict(rounded, strict=False)
    return result, losses


def sample(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """As many of `images` [N, H, W, 3] as memory is meant for, in an order of no meaning.

    Folders are sorted by class, and some statistics come from the first photos only.
    """
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[: max(1, _PIXELS // images.shape[1] ** 2)]]


def _round(layer: fx.Node, weight: Tensor, inputs: Chunks, largest_output: float, partners: Sequence[Tensor]) -> Tensor:
    groups = 1 if layer.target is LINEAR else convolution(layer).groups
    matters = covariance(layer, weight, inputs, groups)
    # A scale from which neither bias / (input scale * weight scale) nor the rescaling to the output's scale overflows,
    # while 127 times it stays far below one step of the output.
    smallest = 2**-20 * max(largest_output, 1e-6) / max(_largest(inputs), 1e-6)
    grouped = weight.flatten(1).unflatten(0, (groups, -1))
    return round_weight(grouped, matters, smallest, partners).view_as(weight)


def pairs(layer: fx.Node, weight: Tensor) -> list[Tensor]:
    """Column [K] -> the column that an x86 kernel adds its products to in 16 bits, for each order of columns in use.

    Kernels go through a row of the weight in twos, channels last or first. A depthwise convolution is no product of
    matrices: its kernels add in 32 bits.
    """
    columns = torch.arange(weight[0].numel())
    if layer.target is not LINEAR and convolution(layer).groups == len(weight) and weight.shape[1] == 1:
        return []
    orders = [columns]
    if weight.dim() == 4 and weight[0, 0].numel() > 1:
        orders.append(columns.view(weight.shape[1:]).permute(1, 2, 0).flatten())
    return [_partners(order) for order in orders]


def _partners(order: Tensor) -> Tensor:
    beside = order.clone()
    even = len(order) // 2 * 2
    beside[:even] = order[:even].view(-1, 2).flip(1).flatten()
    partner = torch.empty_like(order)
    partner[order] = beside
    return partner


def covariance(layer: fx.Node, weight: Tensor, inputs: Chunks, groups: int) -> Tensor:
    """[G, K, K] of what the weight's columns are multiplied with."""
    total, products, count = torch.zeros(()), torch.zeros(()), 0
    near_mean = _columns(layer, weight, inputs[0], groups).mean(dim=2, keepdim=True)
    for chunk in inputs:
        # Small numbers before they are squared: their products keep their digits.
        columns = _columns(layer, weight, chunk, groups) - near_mean
        total = total + columns.sum(dim=2, dtype=torch.double)
        products = products + (columns @ columns.transpose(1, 2)).double()
        count += columns.shape[2]
        if count >= _POSITIONS:
            break
    mean = total / count
    return (products / count - mean[:, :, None] * mean[:, None]).float()


def _columns(layer: fx.Node, weight: Tensor, x: Tensor, groups: int) -> Tensor:
    """[G, K, positions]: the inputs of every output position of `layer`."""
    if layer.target is LINEAR:
        return by_channel(layer, x)[None]
    how = convolution(layer)
    patches = F.unfold(x, weight.shape[2:], how.dilation, how.padding, how.stride)
    return patches.unflatten(1, (groups, -1)).permute(1, 2, 0, 3).flatten(2)


def _is_stored(node: fx.Node) -> bool:
    """Whether an int8 runtime rounds the node's value to a range of its own."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    if node.target in _PASS_ON or (_in_float(node) and all(map(_in_float, node.users))):
        return False
    fused = node.target in _TAKE_ACTIVATION and [user.target in _ACTIVATIONS for user in node.users] == [True]
    return not fused


def _in_float(node: fx.Node) -> bool:
    """Whether the node is one of those that int8 leaves in float."""
    inside = [kind for _, kind in node.meta.get("nn_module_stack", {}).values()]
    return f"{MeanProducts.__module__}.{MeanProducts.__qualname__}" in inside


def _round_activation(chunks: Chunks) -> Chunks:
    low = min(0.0, *(float(chunk.min()) for chunk in chunks))
    high = max(0.0, *(float(chunk.max()) for chunk in chunks))
    scale = max(high - low, 1e-9) / 255
    zero = round(-low / scale)
    return [(chunk / scale).round_().add_(zero).clamp_(0, 255).sub_(zero).mul_(scale) for chunk in chunks]


def _largest(chunks: Chunks) -> float:
    return max(float(chunk.abs().max()) for chunk in chunks)


def channel_means(layer: fx.Node, chunks: Chunks) -> Tensor:
    """Means [C] of the inputs or outputs of `layer`, per channel."""
    return torch.stack([by_channel(layer, chunk).mean(dim=1) for chunk in chunks]).mean(dim=0)


def _ratio(exact: Chunks, rounded: Chunks) -> float:
    signal = sum(float(one.square().sum(dtype=torch.double)) for one in exact)
    noise = sum(
        float((one - other).square().sum(dtype=torch.double)) for one, other in zip(exact, rounded, strict=True)
    )
    if not noise:
        return math.inf
    # A layer of zeros alone has no signal.
    return 10 * math.log10(signal / noise) if signal else -math.inf
