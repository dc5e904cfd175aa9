"""ExecuTorch with the XNNPACK backend."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pmsi_export.contract import Contract
from pmsi_export.fold import MixGraph
from pmsi_export.runner import Image, Runner, nchw, of_one_image


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a .pte file, what XNNPACK knows delegated to it."""
    from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
    from executorch.backends.xnnpack.partition.config.generic_node_configs import EluConfig
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    exported = torch.export.export(graph, (torch.zeros(contract.input.shape),))
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

    def prepare(image: Image) -> Tensor:
        return torch.from_numpy(nchw(image))

    def run(native: Tensor) -> Any:
        # The results lie in the method's own memory until the next call.
        return of_one_image([output.numpy().copy() for output in method.execute([native])])

    return Runner(prepare, run)
