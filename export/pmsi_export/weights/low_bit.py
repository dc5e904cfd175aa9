"""Weights in few bits for formats that store them so and compute in float16.

Large weights are put on their grid, an int8 scale per output channel or a palette per tensor, with the rounding of
`rounding.py`. Small ones and those of depthwise convolutions, a fiftieth of the bytes and most of the loss, become
float16 as in `half.py`. The mean shift of each layer's outputs against the float network is taken out of its bias.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from pmsi_export.graph.fold import MixGraph
from pmsi_export.weights.float16 import round_weight_to_half
from pmsi_export.weights.int8 import channel_means, covariance, sample
from pmsi_export.weights.layerwise import LINEAR, Chunks, Program, compute_layer, convolution, parameter_names
from pmsi_export.weights.rounding import round_to_palette, round_weight

COMPRESSED_FROM: Mapping[str, int] = {"int8-weights": 10_000, "palette6": 40_000, "palette4": 60_000}
"""Elements that a weight has at least to be compressed, by precision."""
_SMALLEST_SCALE = 1e-6
"""A smaller int8 scale is nothing in float16."""
_BINS, _KMEANS_STEPS = 4096, 100


def is_compressed(shape: tuple[int, ...], precision: str) -> bool:
    """Whether a weight [O, I] or [O, I, H, W] is stored in few bits."""
    depthwise = len(shape) == 4 and shape[1] == 1
    return not depthwise and int(np.prod(shape)) >= COMPRESSED_FROM[precision]


def compress(graph: MixGraph, images: NDArray[np.uint8], precision: str) -> MixGraph:
    """`graph` with weights that `precision` holds exactly and float16 biases, for photos [N, H, W, 3] like `images`."""
    program = Program(graph, sample(images))
    compressed = dict(program.constants)

    def on_layer(layer: fx.Node, values: list[Chunks]) -> list[Chunks]:
        exact_inputs, own_inputs = values
        names = parameter_names(layer)
        weight, bias = (program.constants[name] for name in names)
        few_bits = is_compressed(tuple(weight.shape), precision)
        if few_bits:
            weight = _round(layer, weight, own_inputs, precision)
        exact = [compute_layer(layer, x, program.constants[names[0]], bias) for x in exact_inputs]
        own = [compute_layer(layer, x, weight, bias) for x in own_inputs]
        wanted = bias + channel_means(layer, exact) - channel_means(layer, own)
        bias = wanted.half().float()
        if not few_bits:
            weight, missing = round_weight_to_half(weight, channel_means(layer, own_inputs), wanted - bias)
            bias = (bias + missing).half().float()
        compressed.update(zip(names, (weight, bias), strict=True))
        return [exact, [compute_layer(layer, x, weight, bias) for x in own_inputs]]

    program.run([program.photos, program.photos], on_layer)
    result = copy.deepcopy(graph)
    result.load_state_dict(compressed, strict=False)
    return result


def _round(layer: fx.Node, weight: Tensor, inputs: Chunks, precision: str) -> Tensor:
    groups = 1 if layer.target is LINEAR else convolution(layer).groups
    grouped = weight.flatten(1).unflatten(0, (groups, -1))
    matters = covariance(layer, weight, inputs, groups)
    if precision == "int8-weights":
        return round_weight(grouped, matters, _SMALLEST_SCALE).view_as(weight)
    bits = int(precision.removeprefix("palette"))
    return round_to_palette(grouped, matters, palette(weight, bits)).view_as(weight)


def palette(weight: Tensor, bits: int) -> Tensor:
    """At most 2**bits float16 values, rising, near those of `weight`: k-means in one dimension.

    It begins with as many centres at each value as the cube root of the density there, which is best for many centres
    (Panter and Dite 1951).
    """
    values = weight.flatten().double().sort().values
    share = torch.histc(values, _BINS).pow(1 / 3).cumsum(0)
    wanted = (torch.arange(2**bits, dtype=torch.double) + 0.5) / 2**bits * share[-1]
    centres = values[0] + (values[-1] - values[0]) * (torch.searchsorted(share, wanted) + 0.5) / _BINS
    sums = torch.cat([values.new_zeros(1), values.cumsum(0)])
    for _ in range(_KMEANS_STEPS):
        borders = torch.searchsorted(values, (centres[1:] + centres[:-1]) / 2)
        edges = torch.cat([borders.new_zeros(1), borders, borders.new_tensor([len(values)])])
        counts = edges.diff()
        centres = ((sums[edges[1:]] - sums[edges[:-1]]) / counts)[counts > 0]
    return centres.half().float().unique()
