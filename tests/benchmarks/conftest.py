"""Model files that load in no time, and a runtime that misbehaves."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pmsi_export import onnx_metadata
from pmsi_export.contract import (
    Contract,
    InputSpec,
    ModelSummary,
    OutputSpec,
    Parity,
    PreprocessingSpec,
)

SIDE = 32
SUFFIXES = {".onnx": "onnx", ".mlpackage": "coreml"}

MISBEHAVING = """
import os
import time
from types import SimpleNamespace

import numpy as np

class SessionOptions:
    pass

class InferenceSession:
    def __init__(self, path, options, providers):
        os.write(1, b"chatter of the runtime, ")
        print("and of its Python")
        self.path, self.calls = path, 0

    def get_inputs(self):
        return [SimpleNamespace(type="tensor(float)")]

    def run(self, outputs, inputs):
        os.write(1, b"more chatter\\n")
        self.calls += 1
        if os.path.basename(self.path).startswith("crash") and self.calls > 10:
            os.write(2, b"out of cheese\\n")
            os.abort()
        if os.path.basename(self.path).startswith("hang"):
            time.sleep(1000)
        # Two files of which one takes a tenth longer.
        end = time.perf_counter() + {"steady": 0.004, "slowed": 0.0044}.get(os.path.basename(self.path)[:6], 0)
        while time.perf_counter() < end:
            pass
        return [np.ones((1, 3), np.float32) / 3]
"""


def contract_of(model: Path, parity: Literal["passed", "failed", "not measured"] = "passed") -> Contract:
    """A contract for a model of 3 classes."""
    return Contract(
        format=SUFFIXES[model.suffix],
        precision="fp32",
        minimum_runtime="LiteRT 1.0",
        model=ModelSummary(method="baseline", backbone="mobilenet_v2", stages=None, heads=None, width=None),
        input=InputSpec(layout="NCHW", shape=(1, 3, SIDE, SIDE)),
        output=OutputSpec(shape=(1, 3)),
        classes=("a", "b", "c"),
        preprocessing=PreprocessingSpec(resize=SIDE, crop=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        mix=None,
        checkpoint_sha256="0" * 64,
        tools={},
        created=datetime(2026, 1, 1, tzinfo=UTC),
        parity=Parity(status=parity, gate="max abs difference <= 0.0001"),
        metrics={},
    )


@pytest.fixture
def onnx_model(tmp_path: Path) -> Callable[[str], Path]:
    """Makes real ONNX files: the mean colour of the image as three probabilities, behind a few products."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(name: str) -> Path:
        import numpy as np

        nodes = [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3])],
            [numpy_helper.from_array(np.eye(3, dtype=np.float32) / 255, "weight")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))
        digest = onnx_metadata.extract(path).content_sha256
        onnx_metadata.embed(path, contract_of(path).model_copy(update={"content_sha256": digest}).model_dump_json())
        return path

    return make


@pytest.fixture
def misbehaving_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find this in place of ONNX Runtime: it talks on stdout, aborts for files named crash,
    does not answer for those named hang, and takes 4 ms for those named steady, 4.4 ms for those named slowed."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "onnxruntime.py").write_text(MISBEHAVING)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
