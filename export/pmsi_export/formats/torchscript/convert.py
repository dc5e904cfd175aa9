"""TorchScript for the Lite interpreter. PyTorch has retired it in favour of ExecuTorch; existing apps still load it."""

import copy
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_export.contract.schema import Contract
from pmsi_export.formats.torchscript.deprecation import ignore_deprecation
from pmsi_export.graph.fold import MixGraph


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write the traced `graph` as a .ptl file."""
    with warnings.catch_warnings(), torch.no_grad():
        ignore_deprecation()
        traced = torch.jit.trace(
            _halve_weights(graph) if contract.precision == "fp16" else graph, torch.zeros(contract.input.shape)
        )
        # Freezing would compute the casts of float16 weights and store their results.
        ready = traced if contract.precision == "fp16" else torch.jit.freeze(traced)
        ready._save_for_lite_interpreter(str(path))


class _HalfWeight(nn.Module):
    """A layer whose weight is stored as float16 and cast at each inference: the Lite interpreter has no other place."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.layer.weight.data = layer.weight.data.half()

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight.float()
        if isinstance(self.layer, nn.Conv2d):
            return self.layer._conv_forward(x, weight, self.layer.bias)
        return F.linear(x, weight, self.layer.bias)


def _halve_weights(graph: MixGraph) -> MixGraph:
    halved = copy.deepcopy(graph)
    for name, module in graph.named_modules():
        # Subclasses stay in float32: they may pad their input, or compute on their weight, before.
        if isinstance(module, nn.Conv2d | nn.Linear) and type(module) in (nn.Conv2d, nn.Linear):
            halved.set_submodule(name, _HalfWeight(copy.deepcopy(module)))
    return halved
