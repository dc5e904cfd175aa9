"""A float TFLite file -> int8: uint8 pixels in, integers throughout, float32 probabilities out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_int8(model: bytes, images: NDArray[np.uint8]) -> bytes:
    """Quantise with ai-edge-quantizer, activation ranges from photos [N, H, W, 3].

    Weights are symmetric per output channel, activations asymmetric per tensor. What is computed of the
    logits stays float: in int8 probabilities would come in steps of 1/256.
    """
    from ai_edge_quantizer.qtyping import (
        ComputePrecision,
        OpQuantizationConfig,
        TensorDataType,
        TensorQuantizationConfig,
        TFLOperationName,
    )
    from ai_edge_quantizer.quantizer import AlgorithmName, Quantizer

    from pmsi_export.graph.fold import MeanProducts, ProjectedProducts

    pixels = OpQuantizationConfig(
        activation_tensor_config=TensorQuantizationConfig(8, symmetric=False, dtype=TensorDataType.UINT),
        weight_tensor_config=TensorQuantizationConfig(8),
        compute_precision=ComputePrecision.INTEGER,
        explicit_dequantize=False,
    )
    # The quantizer does not know ELU. RELU, which it quantises by the ranges of its input and output, stands in for it.
    elus = _positions(model, "ELU")
    quantizer = Quantizer(_rename(model, elus, "RELU"))
    quantizer.add_static_config(".*", TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    quantizer.update_quantization_recipe(".*", TFLOperationName.INPUT, pixels)
    for kept in (TFLOperationName.SOFTMAX, TFLOperationName.OUTPUT):
        quantizer.update_quantization_recipe(".*", kept, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for scope, kept in (
        (MeanProducts, TFLOperationName.ALL_SUPPORTED),
        # Which the converter names after the convolutions before it.
        (ProjectedProducts, TFLOperationName.MUL),
    ):
        quantizer.update_quantization_recipe(f".*{scope.__name__}.*", kept, algorithm_key=AlgorithmName.NO_QUANTIZE)
    quantised = quantizer.quantize(_ranges(model, images), enable_progress_report=False).quantized_model
    return _rename(bytes(quantised), elus, "ELU")


def _ranges(model: bytes, images: NDArray[np.uint8]) -> dict[str, Any]:
    """The smallest and largest value of every tensor; the input's such that its scale is 1 and its zero point 0."""
    from ai_edge_quantizer.calibrator import CalibrationMode, Calibrator
    from ai_edge_quantizer.recipe_manager import RecipeManager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    calibrator = Calibrator(
        model, num_threads=1, mode=CalibrationMode.CALIBRATION_PROFILER_BASED, qsv_update_func=min_max_update
    )
    photos = [{"image": image[None].astype(np.float32)} for image in images]
    calibrator.calibrate({"serving_default": photos}, RecipeManager())
    ranges = calibrator.get_model_qsvs()
    return ranges | {"serving_default_image": {"min": np.array([0.0]), "max": np.array([255.0])}}


def _rename(model: bytes, positions: list[int], name: str) -> bytes:
    """The operators at `positions` of the table of operators become `name`s, which have no options."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for position in positions:
        code = content.operatorCodes[position]
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _positions(model: bytes, name: str) -> list[int]:
    """Where the table of operators has `name`."""
    from ai_edge_litert import schema_py_generated as schema

    table = schema.Model.GetRootAs(model)
    wanted = getattr(schema.BuiltinOperator, name)
    return [
        position
        for position in range(table.OperatorCodesLength())
        if table.OperatorCodes(position).BuiltinCode() == wanted
    ]
