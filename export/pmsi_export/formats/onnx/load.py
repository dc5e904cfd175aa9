"""ONNX Runtime on ONNX files."""

from pathlib import Path
from typing import Any

import numpy as np

from pmsi_export.formats.onnx.pair_sums import PAIR_SUM
from pmsi_export.runtime.runner import Image, Runner, nchw, of_one_image


def load(path: Path, threads: int = 1) -> Runner:
    """Open an ONNX file with ONNX Runtime on the CPU.

    An int8 file of a version that did not bound the sums of its weights is run in a way that does not overflow, which
    takes 1.5 to 2.5 times as long on x86.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    if about.get("precision", "").startswith("int8") and PAIR_SUM not in about:
        options.add_session_config_entry("session.x64quantprecision", "1")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    dtype = np.uint8 if session.get_inputs()[0].type == "tensor(uint8)" else np.float32

    def prepare(image: Image) -> np.ndarray:
        return nchw(image, dtype)

    def run(native: np.ndarray) -> Any:
        return of_one_image(session.run(None, {"image": native}))

    return Runner(prepare, run)
