"""MIL operations on PyTorch tensors.

A function's name is the operation's and its parameters are the operation's inputs, as coremltools documents them in
`converters/mil/mil/ops/defs`; an input that a function does not take is one that the evaluator does not know.
Tensors arrive as float32, int32 or bool; scalars as Python numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class UnknownToEvaluator(Exception):
    """The program asks for something that the evaluator does not model; the message says what."""


def conv(
    x: Tensor,
    weight: Tensor,
    strides: Tensor,
    pad_type: str,
    pad: Tensor,
    dilations: Tensor,
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    if x.ndim != 4:
        raise UnknownToEvaluator(f"convolution of a rank {x.ndim} tensor")
    padded = F.pad(x, _padding(pad_type, pad))
    return F.conv2d(padded, weight, bias, strides.tolist(), dilation=dilations.tolist(), groups=groups)


def max_pool(
    x: Tensor, kernel_sizes: Tensor, strides: Tensor, pad_type: str, pad: Tensor, ceil_mode: bool = False
) -> Tensor:
    _refuse_ceil_mode(ceil_mode)
    return F.max_pool2d(F.pad(x, _padding(pad_type, pad), value=-torch.inf), kernel_sizes.tolist(), strides.tolist())


def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor,
    pad_type: str,
    pad: Tensor,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Tensor:
    _refuse_ceil_mode(ceil_mode)
    padding, window = _padding(pad_type, pad), (kernel_sizes.tolist(), strides.tolist())
    mean = F.avg_pool2d(F.pad(x, padding), *window)
    if not exclude_padding_from_average:
        return mean
    return mean / F.avg_pool2d(F.pad(torch.ones_like(x), padding), *window)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def matmul(x: Tensor, y: Tensor, transpose_x: bool = False, transpose_y: bool = False) -> Tensor:
    return (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    return F.batch_norm(x, mean, variance, gamma, beta, eps=epsilon)


def layer_norm(
    x: Tensor, axes: Tensor, epsilon: float, gamma: Tensor | None = None, beta: Tensor | None = None
) -> Tensor:
    last = list(range(-len(axes), 0))
    if sorted(axis - x.ndim if axis >= 0 else axis for axis in axes.tolist()) != last:
        raise UnknownToEvaluator(f"layer_norm over the axes {axes.tolist()}")
    return F.layer_norm(x, x.shape[-len(axes) :], gamma, beta, epsilon)


def clip(x: Tensor, alpha: float, beta: float) -> Tensor:
    return x.clamp(alpha, beta)


def relu(x: Tensor) -> Tensor:
    return x.relu()


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def leaky_relu(x: Tensor, alpha: float) -> Tensor:
    return F.leaky_relu(x, alpha)


def thresholded_relu(x: Tensor, alpha: float) -> Tensor:
    return torch.where(x >= alpha, x, 0.0)


def elu(x: Tensor, alpha: float) -> Tensor:
    return F.elu(x, alpha)


def sigmoid(x: Tensor) -> Tensor:
    return x.sigmoid()


def sigmoid_hard(x: Tensor, alpha: float, beta: float) -> Tensor:
    return (alpha * x + beta).clamp(0, 1)


def silu(x: Tensor) -> Tensor:
    return F.silu(x)


def gelu(x: Tensor, mode: str) -> Tensor:
    forms = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}
    if mode not in forms:
        raise UnknownToEvaluator(f"gelu in the form {mode}")
    return F.gelu(x, approximate=forms[mode])


def tanh(x: Tensor) -> Tensor:
    return x.tanh()


def exp(x: Tensor) -> Tensor:
    return x.exp()


def softmax(x: Tensor, axis: int) -> Tensor:
    return x.softmax(axis)


def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


def abs(x: Tensor) -> Tensor:
    return x.abs()


def rsqrt(x: Tensor, epsilon: float) -> Tensor:
    return (x + epsilon).rsqrt()


def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


def real_div(x: Tensor, y: Tensor) -> Tensor:
    return x / y


def maximum(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(*_tensors(x, y))


def minimum(x: Tensor, y: Tensor) -> Tensor:
    return torch.minimum(*_tensors(x, y))


def reduce_max(x: Tensor, axes: Tensor, keep_dims: bool) -> Tensor:
    return x.amax(axes.tolist(), keep_dims)


def reduce_mean(x: Tensor, axes: Tensor, keep_dims: bool) -> Tensor:
    return x.mean(axes.tolist(), keep_dims)


def reduce_sum(x: Tensor, axes: Tensor, keep_dims: bool) -> Tensor:
    return x.sum(axes.tolist(), keep_dims)


def concat(values: Sequence[Tensor], axis: int, interleave: bool) -> Tensor:
    if interleave:
        raise UnknownToEvaluator("concat that interleaves")
    return torch.cat(list(values), axis)


def reshape(x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape(shape.tolist())


def transpose(x: Tensor, perm: Tensor) -> Tensor:
    return x.permute(perm.tolist())


def squeeze(x: Tensor, axes: Tensor) -> Tensor:
    return x.squeeze(axes.tolist())


def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def cast(x: Tensor, dtype: str) -> Tensor:
    """The rounding to fp16 is that of every float16 result."""
    types = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}
    if dtype not in types:
        raise UnknownToEvaluator(f"cast to {dtype}")
    return x.to(types[dtype])


def constexpr_affine_dequantize(quantized_data: Tensor, scale: Any, zero_point: Any, axis: int) -> Tensor:
    """iOS 16. Scale and zero point: one, or one for each index of `axis`."""
    along = [-1 if dimension == axis % quantized_data.ndim else 1 for dimension in range(quantized_data.ndim)]
    scale, zero_point = (torch.as_tensor(value, dtype=torch.float32).reshape(along) for value in (scale, zero_point))
    return (quantized_data - zero_point) * scale


def constexpr_blockwise_shift_scale(data: Tensor, scale: Tensor, offset: Tensor | None = None) -> Tensor:
    """iOS 18. Scale and offset: one for each block, of as many blocks as they have elements."""
    shifted = data if offset is None else data - _spread(offset, data.shape)
    return shifted * _spread(scale, data.shape)


def constexpr_lut_to_dense(
    indices: Tensor, lut: Tensor, shape: Tensor | None = None, vector_axis: int | None = None
) -> Tensor:
    """iOS 16, with `shape`: the indices are packed bits, lut is [2**bits]. iOS 18: lut is [..., 2**bits, 1]."""
    if shape is not None:
        bits = (len(lut) - 1).bit_length()
        return lut[_unpack(indices, bits, int(shape.prod()))].reshape(shape.tolist())
    if lut.shape[-1] != 1 or vector_axis is not None:
        raise UnknownToEvaluator("a palette of vectors")
    palettes = lut.flatten(0, -3).squeeze(-1)
    palette = _spread(torch.arange(len(palettes)).reshape(lut.shape[:-2]), indices.shape)
    return palettes[palette, indices]


def classify(probabilities: Tensor, classes: Sequence[str]) -> tuple[str, dict[str, float]]:
    """The likeliest class, and the probability of every class."""
    values = probabilities.flatten()
    if len(values) != len(classes):
        raise ValueError(f"{len(values)} probabilities for {len(classes)} classes")
    return classes[int(values.argmax())], dict(zip(classes, values.tolist(), strict=True))


def _padding(pad_type: str, pad: Tensor) -> list[int]:
    """In the order of `F.pad`: MIL lists begin and end of the first spatial axis first."""
    if pad_type == "valid":
        return [0, 0, 0, 0]
    if pad_type != "custom":
        raise UnknownToEvaluator(f"padding of the type {pad_type}")
    top, bottom, left, right = pad.tolist()
    return [left, right, top, bottom]


def _refuse_ceil_mode(ceil_mode: bool) -> None:
    if ceil_mode:
        raise UnknownToEvaluator("pooling in ceil mode")


def _tensors(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(x), torch.as_tensor(y)


def _spread(blocks: Tensor, shape: torch.Size) -> Tensor:
    """One value for each block -> one for each element of `shape`."""
    for axis, (count, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        blocks = blocks.repeat_interleave(size // count, axis)
    return blocks


def _unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """Numbers of `bits` bits, least significant first, out of bytes."""
    weights = torch.arange(8)
    flat = ((packed.long()[:, None] >> weights) & 1).flatten()[: bits * count]
    return (flat.reshape(count, bits) << torch.arange(bits)).sum(1)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        conv,
        max_pool,
        avg_pool,
        linear,
        matmul,
        batch_norm,
        layer_norm,
        clip,
        relu,
        relu6,
        leaky_relu,
        thresholded_relu,
        elu,
        sigmoid,
        sigmoid_hard,
        silu,
        gelu,
        tanh,
        exp,
        abs,
        rsqrt,
        softmax,
        add,
        sub,
        mul,
        real_div,
        maximum,
        minimum,
        reduce_max,
        reduce_mean,
        reduce_sum,
        concat,
        reshape,
        transpose,
        squeeze,
        expand_dims,
        cast,
        constexpr_affine_dequantize,
        constexpr_blockwise_shift_scale,
        constexpr_lut_to_dense,
        classify,
    )
}
