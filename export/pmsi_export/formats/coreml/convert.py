"""Core ML package: an ML program, a classifier that takes an RGB image."""

import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.coreml.tools import import_coremltools

if TYPE_CHECKING:
    from pmsi_export.graph.fold import MixGraph


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a .mlpackage directory."""
    import torch

    ct = import_coremltools()
    compressed = contract.precision not in ("fp32", "fp16")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # A trace, for coremltools refuses an exported program's max_pool2d that leaves the stride to its default.
        traced = torch.jit.trace(graph, torch.zeros(contract.input.shape))
        conversion = partial(
            ct.convert,
            traced,
            inputs=[
                ct.ImageType(name=contract.input.name, shape=contract.input.shape, color_layout=ct.colorlayout.RGB)
            ],
            minimum_deployment_target=ct.target.iOS16 if compressed else ct.target.iOS15,
            compute_precision=ct.precision.FLOAT32 if contract.precision == "fp32" else ct.precision.FLOAT16,
        )
        named = None
        if contract.output.second:
            # Of two outputs it has to be told, by a name of its own making, which one is the probabilities.
            named = conversion(convert_to="milinternal").functions["main"].outputs[0].name
        model = conversion(
            convert_to="mlprogram",
            classifier_config=ct.ClassifierConfig(list(contract.classes), predicted_probabilities_output=named),
            skip_model_load=True,
        )
        if compressed:
            model = _compress(model, contract.precision)
    specification = model.get_spec()
    described = specification.description
    ct.utils.rename_feature(specification, described.predictedProbabilitiesName, contract.output.name)
    if contract.output.second:
        classifier = (described.predictedFeatureName, contract.output.name)
        [score] = [output.name for output in described.output if output.name not in classifier]
        ct.utils.rename_feature(specification, score, contract.output.second)
    preprocessing = contract.preprocessing
    specification.description.input[0].shortDescription = (
        f"RGB photo: {preprocessing.resize_rule} (resize {preprocessing.resize}), "
        f"{preprocessing.crop_rule} (crop {preprocessing.crop})"
    )
    ct.models.MLModel(specification, weights_dir=model.weights_dir, skip_model_load=True).save(str(path))


def _compress(model: Any, precision: str) -> Any:
    """Store in few bits what the graph's weights have been rounded to."""
    from pmsi_export.weights.low_bit import is_compressed

    tools = import_module("coremltools.optimize.coreml")
    weights = tools.get_weights_metadata(model, 0).items()
    kept = {name: None for name, weight in weights if not is_compressed(weight.val.shape, precision)}

    def options(operation: Any) -> Any:
        return tools.OptimizationConfig(global_config=operation, op_name_configs=kept)

    if precision == "int8-weights":
        linear = tools.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
        return tools.linear_quantize_weights(model, options(linear))
    bits = int(precision.removeprefix("palette"))
    palettes = tools.OpPalettizerConfig(
        mode="custom", lut_function=lambda weight: look_up_table(weight, bits), weight_threshold=0
    )
    return tools.palettize_weights(model, options(palettes))


def look_up_table(weight: NDArray[np.floating], bits: int) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """A weight of at most 2**bits values -> those values, padded to as many, and the index of each element [N].

    coremltools' own mode "unique" counts them by NumPy's `unique`, which in 2.4 gives a float16 value several times.
    """
    values, indices = np.unique(weight.astype(np.float32), return_inverse=True)
    table = np.zeros(2**bits, weight.dtype)
    table[: len(values)] = values
    return table, indices.flatten().astype(np.uint8)
