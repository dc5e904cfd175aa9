"""Core ML package: an ML program, a classifier that takes an RGB image."""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract.schema import Contract, Embedded
from pmsi_export.formats.coreml.mil.package import (
    Specification,
    class_labels,
    manifest_path,
    read_specification,
    weights_path,
    write_specification,
)
from pmsi_export.runtime.runner import Image, NotRunnable, Probabilities, Runner
from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from pmsi_export.graph.fold import MixGraph

CONTRACT = "pmsi.contract"
CONTRACT_SHA256 = "pmsi.contract.sha256"


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a .mlpackage directory."""
    import torch

    ct = _coremltools()
    compressed = contract.precision not in ("fp32", "fp16")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # A trace, for coremltools refuses an exported program's max_pool2d that leaves the stride to its default.
        traced = torch.jit.trace(graph, torch.zeros(contract.input.shape))
        model = ct.convert(
            traced,
            inputs=[
                ct.ImageType(name=contract.input.name, shape=contract.input.shape, color_layout=ct.colorlayout.RGB)
            ],
            classifier_config=ct.ClassifierConfig(list(contract.classes)),
            minimum_deployment_target=ct.target.iOS16 if compressed else ct.target.iOS15,
            compute_precision=ct.precision.FLOAT32 if contract.precision == "fp32" else ct.precision.FLOAT16,
            convert_to="mlprogram",
            skip_model_load=True,
        )
        if compressed:
            model = _compress(model, contract.precision)
    specification = model.get_spec()
    ct.utils.rename_feature(specification, specification.description.predictedProbabilitiesName, contract.output.name)
    preprocessing = contract.preprocessing
    specification.description.input[0].shortDescription = (
        f"RGB photo: {preprocessing.resize_rule} (resize {preprocessing.resize}), "
        f"{preprocessing.crop_rule} (crop {preprocessing.crop})"
    )
    ct.models.MLModel(specification, weights_dir=model.weights_dir, skip_model_load=True).save(str(path))


def load(path: Path, threads: int = 1) -> Runner:
    """Open a Core ML package with Core ML on macOS, which chooses its own threads, elsewhere with the MIL evaluator."""
    classes = class_labels(read_specification(path))
    prepare, predict = _core_ml(path) if sys.platform == "darwin" else _evaluator(path, threads)

    def run(native: Any) -> Probabilities:
        predicted = predict(native)
        return np.array([predicted[name] for name in classes], dtype=np.float32)

    return Runner(prepare, run)


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON, a description and a version into the package's metadata.

    Raises PmsiError when the classifier's labels are not the contract's classes.
    """
    specification, contract = read_specification(path), json.loads(text)
    _check_labels(path, specification, text)
    metadata = specification.description.metadata
    metadata.userDefined[CONTRACT] = text
    metadata.userDefined[CONTRACT_SHA256] = hashlib.sha256(text.encode()).hexdigest()
    classes, model = contract["classes"], contract["model"]
    metadata.shortDescription = f"Image classifier, {len(classes)} classes: {model['method']} with {model['backbone']}"
    metadata.versionString = contract["checkpoint_sha256"][:12]
    write_specification(path, specification)


def extract(path: Path) -> Embedded:
    """What `embed` added, and the digest of manifest, weights and specification less metadata.

    Raises PmsiError when a file of the package cannot be read, the contract is damaged or the classifier's labels are
    not its classes.
    """
    try:
        specification = read_specification(path)
        files = [file.read_bytes() for file in (manifest_path(path), weights_path(path))]
    except (OSError, ValueError) as error:
        raise PmsiError(f"{path} is damaged: {error}") from None
    written = specification.description.metadata.userDefined
    text, checksum = written.get(CONTRACT, ""), written.get(CONTRACT_SHA256, "")
    if text:
        if hashlib.sha256(text.encode()).hexdigest() != checksum:
            raise PmsiError(f"{path} is damaged: its contract has changed")
        _check_labels(path, specification, text)
    specification.description.ClearField("metadata")
    digest = hashlib.sha256(specification.SerializeToString(deterministic=True))
    for content in files:
        digest.update(content)
    return Embedded(text, digest.hexdigest())


def _check_labels(path: Path, specification: Specification, text: str) -> None:
    if class_labels(specification) != json.loads(text)["classes"]:
        raise PmsiError(f"{path} is damaged: its labels are not the classes of its contract")


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
    return tools.palettize_weights(model, options(tools.OpPalettizerConfig(mode="unique", weight_threshold=0)))


def _core_ml(path: Path) -> tuple[Callable[[Image], Any], Callable[[Any], dict[str, float]]]:
    from PIL import Image as PILImage

    ct = _coremltools()
    model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit.CPU_ONLY)
    return PILImage.fromarray, lambda native: model.predict({"image": native})["probabilities"]


def _evaluator(path: Path, threads: int) -> tuple[Callable[[Image], Any], Callable[[Any], dict[str, float]]]:
    import torch

    from pmsi_export.formats.coreml.mil.evaluator import UnknownToEvaluator, read_program

    torch.set_num_threads(threads)
    try:
        program = read_program(path)
    except UnknownToEvaluator as error:
        raise NotRunnable(path, f"the MIL evaluator does not know {error}; Core ML on macOS does") from None
    return lambda image: image, program.predict


def _coremltools() -> ModuleType:
    """Import coremltools, which imports every framework that it can convert from.

    TensorFlow and scikit-learn are hidden from it: they take 15 seconds, and TensorFlow loaded before PyTorch's triton
    crashes the process (two copies of LLVM).
    """
    hidden = [name for name in ("tensorflow", "sklearn") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return import_module("coremltools")
    finally:
        for name in hidden:
            del sys.modules[name]
