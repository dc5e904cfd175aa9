"""A float ONNX model -> int8 in QDQ form: uint8 pixels in, float32 probabilities out."""

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

_OFF_GRID = 1e-3
"""Of a step: what float32 leaves of a grid's values."""
_IN_FLOAT = ("Softmax", "ReduceMax", "Neg")
"""What is computed of the logits."""


def to_int8(model: "ModelProto", images: NDArray[np.uint8], in_float: Collection[str]) -> "ModelProto":
    """Quantise with ONNX Runtime's tools, activation ranges from photos [N, H, W, 3]; nodes `in_float` are left alone.

    Weights are int8, symmetric per output channel, activations uint8, asymmetric per tensor: with int8 activations ONNX
    Runtime leaves a third of the layers unfused on x86. What is computed of the logits stays float, for probabilities
    would come in steps of 1/255.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Photos(CalibrationDataReader):
        def __init__(self) -> None:
            self.photos = iter(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            photo = next(self.photos, None)
            return None if photo is None else {"image": photo.transpose(2, 0, 1)[None].astype(np.float32)}

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, str(source))
        quantize_static(
            source,
            target,
            Photos(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": overrides(model)},
            nodes_to_exclude=[
                node.name for node in model.graph.node if node.op_type in _IN_FLOAT or node.name in in_float
            ],
        )
        quantised = onnx.load(str(target))
    quantised.ir_version = model.ir_version
    _take_bytes(quantised)
    _keep_logits(quantised)
    return quantised


def overrides(model: "ModelProto") -> dict[str, list[dict[str, Any]]]:
    """ONNX Runtime's `TensorQuantOverrides`: the grids that the weights lie on already.

    By itself it takes max|w| / 127 for a channel's scale, which is finer than a grid whose largest number is below 127.
    """
    grids: dict[str, list[dict[str, Any]]] = {}
    for name, axis, weight in weights(model):
        largest = [_range_of_grid(channel) for channel in np.moveaxis(weight, axis, 0)]
        grids[name] = [{"axis": axis, "rmin": -limit, "rmax": limit} for limit in largest]
    return grids


def weights(model: "ModelProto") -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Name, axis of the output channels and values of what becomes int8 with a scale per channel."""
    from onnx import helper, numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in tensors:
            transposed = any(a.name == "transB" and helper.get_attribute_value(a) for a in node.attribute)
            axis = 0 if node.op_type == "Conv" or transposed else 1
            yield node.input[1], axis, numpy_helper.to_array(tensors[node.input[1]])


def _range_of_grid(channel: NDArray[np.float32]) -> float:
    """127 times the step of the coarsest grid that all values lie on, at most 127 steps from zero; the largest value
    where there is no such grid."""
    values = np.abs(channel.astype(np.float64)).ravel()
    largest = values.max()
    if not largest:
        return 1.0
    steps = np.arange(1, 128)[:, None] * (values / largest)
    on_grid = (np.abs(steps - steps.round()) < _OFF_GRID).all(axis=1)
    return float(largest * 127 / (1 + on_grid.argmax())) if on_grid.any() else float(largest)


def _take_bytes(model: "ModelProto") -> None:
    """The input becomes uint8. Its mean is still subtracted in float: ONNX Runtime has no integer subtraction."""
    from onnx import TensorProto, helper

    pixels = model.graph.input[0]
    pixels.type.tensor_type.elem_type = TensorProto.UINT8
    for node in model.graph.node:
        node.input[:] = [f"{pixels.name}_float" if name == pixels.name else name for name in node.input]
    cast = helper.make_node("Cast", [pixels.name], [f"{pixels.name}_float"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)


def _keep_logits(model: "ModelProto") -> None:
    """The logits stay as their layer gives them: a layer can give its sums in float as well as in int8."""
    producers = {output: node for node in model.graph.node for output in node.output}
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        dequantise = producers[softmax.input[0]]
        if dequantise.op_type == "DequantizeLinear":
            quantise = producers[dequantise.input[0]]
            for node in model.graph.node:
                node.input[:] = [quantise.input[0] if name == dequantise.output[0] else name for name in node.input]
            model.graph.node.remove(dequantise)
            model.graph.node.remove(quantise)
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)
