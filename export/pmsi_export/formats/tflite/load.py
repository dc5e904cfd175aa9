"""LiteRT's interpreter on TFLite files."""

from pathlib import Path
from typing import Any

import numpy as np

from pmsi_export.runtime.runner import Image, Runner, nhwc, of_one_image


def load(path: Path, threads: int = 1) -> Runner:
    """Open a TFLite file with LiteRT's interpreter (XNNPACK)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def prepare(photo: Image) -> np.ndarray:
        return nhwc(photo, image["dtype"])

    def run(native: np.ndarray) -> Any:
        interpreter.set_tensor(image["index"], native)
        interpreter.invoke()
        return of_one_image([interpreter.get_tensor(output) for output in outputs])

    return Runner(prepare, run)
