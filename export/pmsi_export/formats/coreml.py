"""Core ML package: an ML program for iOS 15 and later, a classifier that takes an RGB image."""

import json
import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage

from pmsi_export.contract import Contract, Embedded
from pmsi_export.fold import MixGraph
from pmsi_export.runner import Image, Probabilities, Runner

_CLASSES = "pmsi.classes"


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a float32 .mlpackage directory."""
    ct = _coremltools()
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
            minimum_deployment_target=ct.target.iOS15,
            compute_precision=ct.precision.FLOAT32,
            convert_to="mlprogram",
        )
    specification = model.get_spec()
    ct.utils.rename_feature(specification, specification.description.predictedProbabilitiesName, contract.output.name)
    named = ct.models.MLModel(specification, weights_dir=model.weights_dir, skip_model_load=True)
    # The prediction is a dictionary without order: a reader needs the classes to make a vector of it.
    named.user_defined_metadata[_CLASSES] = json.dumps(contract.classes)
    named.save(str(path))


def load(path: Path, threads: int = 1) -> Runner:
    """Open a Core ML package (macOS only). Core ML chooses its own threads."""
    ct = _coremltools()
    model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit.CPU_ONLY)
    classes = json.loads(model.user_defined_metadata[_CLASSES])

    def prepare(image: Image) -> PILImage.Image:
        return PILImage.fromarray(image)

    def run(native: PILImage.Image) -> Probabilities:
        predicted: dict[str, Any] = model.predict({"image": native})["probabilities"]
        return np.array([predicted[name] for name in classes], dtype=np.float32)

    return Runner(prepare, run)


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


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON into a file."""


def extract(path: Path) -> Embedded:
    """The contract's JSON in a file, and the digest of the content it belongs to."""
    return Embedded("", "")
