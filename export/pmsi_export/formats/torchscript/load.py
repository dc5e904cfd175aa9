"""PyTorch's Lite interpreter on .ptl files."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pmsi_export.formats.torchscript.deprecation import ignore_deprecation
from pmsi_export.runtime.runner import Image, Runner, nchw, of_one_image


def load(path: Path, threads: int = 1) -> Runner:
    """Open a .ptl file. PyTorch's thread count belongs to the process: it is set for all of it."""
    from torch.jit.mobile import _load_for_lite_interpreter

    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        ignore_deprecation()
        module = _load_for_lite_interpreter(str(path))

    def prepare(image: Image) -> Tensor:
        return torch.from_numpy(nchw(image))

    @torch.inference_mode()
    def run(native: Tensor) -> Any:
        outputs = module(native)
        return of_one_image([output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))])

    return Runner(prepare, run)
