"""TorchScript for the Lite interpreter. PyTorch has retired it in favour of ExecuTorch; existing apps still load it."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_export.contract.schema import Contract
from pmsi_export.graph.fold import MixGraph
from pmsi_export.runtime.runner import Image, Runner, nchw, of_one_image


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write the traced `graph` as a .ptl file."""
    with warnings.catch_warnings(), torch.no_grad():
        _ignore_deprecation()
        traced = torch.jit.trace(
            _halve_weights(graph) if contract.precision == "fp16" else graph, torch.zeros(contract.input.shape)
        )
        # Freezing would compute the casts of float16 weights and store their results.
        ready = traced if contract.precision == "fp16" else torch.jit.freeze(traced)
        ready._save_for_lite_interpreter(str(path))


def load(path: Path, threads: int = 1) -> Runner:
    """Open a .ptl file. PyTorch's thread count belongs to the process: it is set for all of it."""
    from torch.jit.mobile import _load_for_lite_interpreter

    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        _ignore_deprecation()
        module = _load_for_lite_interpreter(str(path))

    def prepare(image: Image) -> Tensor:
        return torch.from_numpy(nchw(image))

    @torch.inference_mode()
    def run(native: Tensor) -> Any:
        outputs = module(native)
        return of_one_image([output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))])

    return Runner(prepare, run)


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


def _ignore_deprecation() -> None:
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    # The side of a map is meant to become a constant.
    warnings.simplefilter("ignore", torch.jit.TracerWarning)
