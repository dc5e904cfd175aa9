"""ExecuTorch on .pte files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pmsi_export.runtime.runner import Image, Runner, nchw, of_one_image

_UINT8 = 0
"""As ExecuTorch numbers the types of tensors."""


def load(path: Path, threads: int = 1) -> Runner:
    """Open a .pte file. ExecuTorch's thread pool belongs to the process: it is set for all of it."""
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    _unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(path)
    method = program.load_method("forward")

    takes_bytes = method.metadata.input_tensor_meta(0).dtype() == _UINT8

    def prepare(image: Image) -> Tensor:
        return torch.from_numpy(nchw(image, np.uint8 if takes_bytes else np.float32))

    def run(native: Tensor) -> Any:
        # The results lie in the method's own memory until the next call.
        return of_one_image([output.numpy().copy() for output in method.execute([native])])

    return Runner(prepare, run)
