"""A float ONNX model -> int8 in QDQ form: uint8 pixels in, float32 probabilities out."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto


def to_int8(model: "ModelProto", images: NDArray[np.uint8]) -> "ModelProto":
    """Quantise with ONNX Runtime's tools, activation ranges from photos [N, H, W, 3].

    Weights are symmetric per output channel, activations asymmetric per tensor, both int8: what ARM's kernels like. The
    softmax stays float, for its probabilities would come in steps of 1/255.
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
            nodes_to_exclude=[node.name for node in model.graph.node if node.op_type == "Softmax"],
        )
        quantised = onnx.load(str(target))
    quantised.ir_version = model.ir_version
    _take_bytes(quantised)
    return quantised


def _take_bytes(model: "ModelProto") -> None:
    """The input becomes uint8. Its mean is still subtracted in float, which takes less time than in int8."""
    from onnx import TensorProto, helper

    pixels = model.graph.input[0]
    pixels.type.tensor_type.elem_type = TensorProto.UINT8
    for node in model.graph.node:
        node.input[:] = [f"{pixels.name}_float" if name == pixels.name else name for name in node.input]
    cast = helper.make_node("Cast", [pixels.name], [f"{pixels.name}_float"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
