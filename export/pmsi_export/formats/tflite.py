"""TFLite for LiteRT: NHWC, signature `serving_default` with `image` and `probabilities`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract import Contract, Embedded
from pmsi_export.runner import Probabilities, Runner, nhwc

if TYPE_CHECKING:
    from torch import Tensor

    from pmsi_export.fold import MixGraph


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as a float TFLite file."""
    # Here and not above: loading a file needs no PyTorch.
    import litert_torch
    import torch

    class Signature(torch.nn.Module):
        """Names input and output: the converter takes them from the keywords and the returned keys."""

        def __init__(self, channels_last: torch.nn.Module) -> None:
            super().__init__()
            self.channels_last = channels_last

        def forward(self, image: "Tensor") -> "dict[str, Tensor]":
            return {"probabilities": self.channels_last(image)}

    signature = Signature(litert_torch.to_channel_last_io(graph, args=[0])).eval()
    example = torch.zeros(contract.input.shape)
    litert_torch.convert(signature, sample_kwargs={"image": example}).export(str(path))


def load(path: Path, threads: int = 1) -> Runner:
    """Open a TFLite file with LiteRT's interpreter (XNNPACK)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]["index"]
    probabilities = interpreter.get_output_details()[0]["index"]

    def run(native: np.ndarray) -> Probabilities:
        interpreter.set_tensor(image, native)
        interpreter.invoke()
        return interpreter.get_tensor(probabilities)[0]

    return Runner(nhwc, run)


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON into a file."""


def extract(path: Path) -> Embedded:
    """The contract's JSON in a file, and the digest of the content it belongs to."""
    return Embedded("", "")
