"""ONNX in one file, for ONNX Runtime 1.14 (2023) and later."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.onnx.int8 import overrides, to_int8
from pmsi_export.formats.onnx.pair_sums import PAIR_SUM, pair_sums
from pmsi_export.formats.registry import INT8_WEIGHTS
from pmsi_mobile import __version__

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from pmsi_export.graph.fold import MixGraph

OPSET = 18
IR_VERSION = 8
"""The file format version that came with opset 18. The exporter writes a newer one, which old runtimes refuse."""


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as ONNX in the contract's precision, checked."""
    # Here and not above: loading a file needs no PyTorch.
    import onnx

    model, in_float = _float_model(graph, contract)
    if contract.precision == "fp16":
        _halve_weights(model)
    elif contract.precision == "int8":
        assert calibration is not None
        model = to_int8(model, calibration, in_float)
    onnx.save(model, str(path))
    if contract.precision == "int8-dynamic":
        _quantise_dynamically(path)
    _describe(path, contract)


def _float_model(graph: "MixGraph", contract: Contract) -> tuple["ModelProto", list[str]]:
    """The model, and the names of the nodes that int8 leaves in float."""
    import onnxsim
    import torch

    from pmsi_export.graph.fold import MeanProducts

    program = torch.onnx.export(
        graph,
        (torch.zeros(contract.input.shape),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[contract.input.name],
        output_names=[contract.output.name, *([contract.output.second] if contract.output.second else [])],
        # Weights in the file itself, not in a second one beside it.
        external_data=False,
    )
    assert program is not None
    # What simplifying forgets is which module a node is from.
    in_float = [node.name for node in program.model_proto.graph.node if _is_from(MeanProducts, node)]
    model, _ = onnxsim.simplify(program.model_proto)
    model.ir_version = IR_VERSION
    return model, in_float


def _is_from(module: type, node: "NodeProto") -> bool:
    where = {entry.key: entry.value for entry in node.metadata_props}.get("namespace", "")
    return f": {module.__module__}.{module.__qualname__}/" in where


def _halve_weights(model: "ModelProto") -> None:
    """Weights as float16 with a Cast behind each, which ONNX Runtime computes once, when it loads the file."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1:
            halved = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}.fp16")
            casts.append(helper.make_node("Cast", [halved.name], [tensor.name], to=TensorProto.FLOAT))
            tensor.CopyFrom(halved)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _quantise_dynamically(path: Path) -> None:
    """Only the linear layers: ONNX Runtime's dynamic convolution is slower than the float one many times over."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"TensorQuantOverrides": overrides(onnx.load(path))},
    )


def _describe(path: Path, contract: Contract) -> None:
    import onnx
    from onnx import helper

    model = onnx.load(path)
    model.producer_name, model.producer_version = "pmsi-mobile", __version__
    model.graph.name, model.doc_string = contract.title, contract.description
    # What the tools write about themselves.
    del model.metadata_props[:]
    if contract.precision in INT8_WEIGHTS:
        helper.set_model_props(model, {PAIR_SUM: str(max(pair_sums(path).values(), default=0))})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
