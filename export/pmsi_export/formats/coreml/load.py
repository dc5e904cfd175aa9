"""Core ML, or elsewhere the MIL evaluator, on .mlpackage folders."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pmsi_export.formats.coreml.mil.package import (
    class_labels,
    read_specification,
)
from pmsi_export.formats.coreml.tools import import_coremltools
from pmsi_export.runtime.runner import Image, NotRunnable, Runner


def load(path: Path, threads: int = 1) -> Runner:
    """Open a Core ML package with Core ML on macOS, which chooses its own threads, elsewhere with the MIL evaluator."""
    classes = class_labels(read_specification(path))
    prepare, predict = _core_ml(path) if sys.platform == "darwin" else _evaluator(path, threads)

    def run(native: Any) -> Any:
        given = predict(native)
        probabilities = np.array([given["probabilities"][name] for name in classes], dtype=np.float32)
        score = given.get("unknown_score")
        return probabilities if score is None else (probabilities, np.float32(score).reshape(1))

    return Runner(prepare, run)


def _core_ml(path: Path) -> tuple[Callable[[Image], Any], Callable[[Any], dict[str, Any]]]:
    from PIL import Image as PILImage

    ct = import_coremltools()
    model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit.CPU_ONLY)
    return PILImage.fromarray, lambda native: model.predict({"image": native})


def _evaluator(path: Path, threads: int) -> tuple[Callable[[Image], Any], Callable[[Any], dict[str, Any]]]:
    import torch

    from pmsi_export.formats.coreml.mil.evaluator import UnknownToEvaluator, read_program

    torch.set_num_threads(threads)
    try:
        program = read_program(path)
    except UnknownToEvaluator as error:
        raise NotRunnable(path, f"the MIL evaluator does not know {error}; Core ML on macOS does") from None
    return lambda image: image, program.outputs
