"""TFLite for LiteRT: NHWC, signature `serving_default` with `image` and `probabilities`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.tflite.int8 import to_int8

if TYPE_CHECKING:
    from torch import Tensor

    from pmsi_export.graph.fold import MixGraph


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a TFLite file in the contract's precision."""
    _write_float(graph, contract, path)
    if contract.precision == "fp16":
        _halve_weights(path)
    elif contract.precision == "int8-dynamic":
        quantise_dynamically(path)
    elif contract.precision == "int8":
        assert calibration is not None
        path.write_bytes(to_int8(path.read_bytes(), calibration))
    _add_metadata(path, contract)


def _write_float(graph: "MixGraph", contract: Contract, path: Path) -> None:
    # Here and not above: loading a file needs no PyTorch.
    import litert_torch
    import torch

    from pmsi_export.graph.fold import MixGraph

    class Signature(torch.nn.Module):
        """Names input and outputs: the converter takes them from the keywords and the returned keys."""

        def __init__(self, channels_last: torch.nn.Module) -> None:
            super().__init__()
            self.channels_last = channels_last

        def forward(self, image: "Tensor") -> "dict[str, Tensor]":
            outputs = self.channels_last(image)
            if contract.output.second is None:
                return {"probabilities": outputs}
            probabilities, second = outputs
            return {"probabilities": probabilities, contract.output.second: second}

    _keep_elu()
    # One row of the mean colour instead of one pixel: XNNPACK subtracts row by row, not three numbers at a time.
    row = graph.mean.expand(-1, -1, -1, contract.input.shape[2])
    by_rows = MixGraph(row.contiguous(), graph.backbone, graph.head, graph.top_k)
    signature = Signature(litert_torch.to_channel_last_io(by_rows, args=[0])).eval()
    example = torch.zeros(contract.input.shape)
    litert_torch.convert(signature, sample_kwargs={"image": example}).export(str(path))


def _keep_elu() -> None:
    """Have the converter write ELU as TFLite's own operator, which XNNPACK and the GPU delegate take.

    By itself it composes it of EXP, GREATER_EQUAL and SELECT, which split the graph.
    """
    import torch
    from litert_converter.mlir import ir
    from litert_converter.mlir.dialects import stablehlo
    from litert_torch.backend.lowerings import registry, utils

    composed = registry.lookup(torch.ops.aten.elu.default)

    @registry.lower(torch.ops.aten.elu.default)
    def elu(context: Any, x: Any, *scales: float) -> Any:
        if any(scale != 1 for scale in scales):
            return composed(context, x, *scales)
        return stablehlo.custom_call(
            result=utils.node_meta_to_ir_types(context.node),
            inputs=[x],
            call_target_name=ir.StringAttr.get("tfl.elu"),
            has_side_effect=ir.BoolAttr.get(False),
            backend_config=ir.StringAttr.get("{}"),
        )


def _halve_weights(path: Path) -> None:
    """Weights as float16, made float32 again when the file is loaded: half the size, the same latency."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    recipe = RecipeManager()
    recipe.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    _requantise(path, recipe.get_quantization_recipe())


def quantise_dynamically(path: Path) -> None:
    """int8 weights but for the depthwise convolutions', which XNNPACK has in float and in full integer only: one such
    layer in int8 ends a partition, and they are a fiftieth of the weights."""
    from ai_edge_quantizer import recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    kept = {
        "regex": ".*",
        "operation": TFLOperationName.DEPTHWISE_CONV_2D,
        "algorithm_key": AlgorithmName.NO_QUANTIZE,
        "op_config": {},
    }
    _requantise(path, [*recipe.dynamic_wi8_afp32(), kept])


def _requantise(path: Path, recipe: list[dict[str, Any]]) -> None:
    from ai_edge_quantizer.quantizer import Quantizer

    Quantizer(str(path), recipe).quantize().export_model(path, overwrite=True)


def _add_metadata(path: Path, contract: Contract) -> None:
    from pmsi_export.formats.tflite.metadata import with_metadata

    path.write_bytes(with_metadata(path.read_bytes(), contract))
