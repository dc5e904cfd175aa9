"""ExecuTorch with the XNNPACK backend."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.executorch.int8 import to_int8
from pmsi_export.graph.fold import MixGraph
from pmsi_export.runtime.runner import Image, Runner, nchw, of_one_image

_UINT8 = 0
"""As ExecuTorch numbers the types of tensors."""


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a .pte file, what XNNPACK knows delegated to it."""
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
    from executorch.backends.xnnpack.partition.config.generic_node_configs import EluConfig
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    module: nn.Module = graph
    if contract.precision == "int8":
        assert calibration is not None
        module = to_int8(graph, calibration)
    example = torch.zeros(contract.input.shape, dtype=getattr(torch, contract.input.dtype))
    exported = torch.export.export(module, (example,))
    # ELU is not among the partitioner's own choices, though XNNPACK has it.
    partitioner = XnnpackPartitioner([*ALL_PARTITIONER_CONFIGS, EluConfig])
    lowered = to_edge_transform_and_lower(exported, partitioner=[partitioner])
    path.write_bytes(lowered.to_executorch().buffer)


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
