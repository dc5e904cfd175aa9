"""ExecuTorch with the XNNPACK backend."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.executorch.int8 import to_int8
from pmsi_export.graph.fold import MixGraph


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
