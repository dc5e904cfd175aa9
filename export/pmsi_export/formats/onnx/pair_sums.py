"""Whether the int8 weights of an ONNX file can overflow the 16 bits in which some kernels add their products.

On x86 without VNNI, ONNX Runtime multiplies unsigned bytes with signed ones and adds two neighbouring products in 16
bits (`vpmaddubsw`), which saturates without a word. 255 times the two weights must fit.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PAIR_SUM = "pmsi.pair_sum"
"""Key of a file's metadata: the largest sum in it. Files of versions that did not bound it have none."""
LIMIT = 128
"""255 * 128 fits in 16 bits, 255 * 129 does not."""


def pair_sums(path: Path) -> dict[str, int]:
    """Layer -> the largest sum of the sizes of two neighbouring weights of one sign, channels first or last."""
    import onnx

    return {name: _largest(rows) for name, rows in _layers(onnx.load(path))}


def overflows(path: Path) -> str | None:
    """What overflows, in a sentence; None where nothing can."""
    beyond = {name: total for name, total in pair_sums(path).items() if total > LIMIT}
    if not beyond:
        return None
    worst = max(beyond, key=lambda name: beyond[name])
    return (
        f"on x86 without VNNI the sums of {len(beyond)} layers can overflow 16 bits: "
        f"two neighbouring weights of {worst} add up to {beyond[worst]}, {LIMIT} is the most that is safe"
    )


def _layers(model: "object") -> Iterator[tuple[str, list[NDArray[np.int16]]]]:
    """Name and weights of every product with int8 weights, as rows [outputs, K] in each order of K that kernels use."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph  # type: ignore[attr-defined]
    tensors = {t.name: t for t in graph.initializer if t.data_type == TensorProto.INT8}
    packed = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in tensors}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul", "MatMulInteger", "ConvInteger", "QLinearConv"):
            continue
        source = node.input[3] if node.op_type == "QLinearConv" else node.input[1]
        name = packed.get(source, source)
        if name not in tensors:
            continue
        weight = numpy_helper.to_array(tensors[name]).astype(np.int16)
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if "Conv" in node.op_type:
            if attributes.get("group", 1) == len(weight) and weight.shape[1] == 1:
                # Depthwise kernels add in 32 bits.
                continue
            yield name, [weight.reshape(len(weight), -1), np.moveaxis(weight, 1, -1).reshape(len(weight), -1)]
        else:
            yield name, [weight if attributes.get("transB") else weight.T]


def _largest(orders: list[NDArray[np.int16]]) -> int:
    largest = 0
    for rows in orders:
        even = rows[:, : rows.shape[1] // 2 * 2].reshape(len(rows), -1, 2)
        same_sign = (even[..., 0] > 0) == (even[..., 1] > 0)
        sums = np.where(same_sign, np.abs(even.sum(axis=-1)), np.abs(even).max(axis=-1))
        largest = max(largest, int(sums.max(initial=0)))
    return largest
