"""Model files that load in no time, and a runtime that misbehaves."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pmsi_export.contract.schema import (
    Contract,
    InputSpec,
    ModelSummary,
    OutputSpec,
    Parity,
    PreprocessingSpec,
)
from pmsi_export.formats.onnx import metadata as onnx_metadata

SIDE = 32
SUFFIXES = {".onnx": "onnx", ".mlpackage": "coreml"}

MISBEHAVING = """
import __main__
import mmap
import os
import random
import time
from itertools import count
from math import pi, sin
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# Eight bytes that all workers share: nanoseconds of a clock that only inferences move on.
CLOCK = Path(__file__).with_name("clock").open("r+b")
NOW = memoryview(mmap.mmap(CLOCK.fileno(), 8)).cast("Q")
__main__.perf_counter_ns = lambda: NOW[0]

OPENED = count()

class SessionOptions:
    pass

class InferenceSession:
    def __init__(self, path, options, providers):
        os.write(1, b"chatter of the runtime, ")
        print("and of its Python")
        self.name, self.calls = os.path.basename(path), 0
        self.random = random.Random(f"{self.name} {next(OPENED)}")

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map={})

    def get_inputs(self):
        return [SimpleNamespace(type="tensor(float)")]

    def run(self, outputs, inputs):
        os.write(1, b"more chatter\\n")
        self.calls += 1
        if self.name.startswith("crash") and self.calls > 10:
            os.write(2, b"out of cheese\\n")
            os.abort()
        if self.name.startswith("hang"):
            time.sleep(1000)
        drift = 1 + 0.25 * sin(2 * pi * NOW[0] / 20e9)
        noise = self.random.gauss(1, 0.02) * (3 if self.random.random() < 0.05 else 1)
        NOW[0] += round((4.4e6 if self.name.startswith("slowed") else 4e6) * drift * noise)
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
    """Workers find this in place of ONNX Runtime. It talks on stdout, aborts for files named crash and does not answer
    for those named hang. It also gives the workers their clock, by which an inference takes 4 ms, 4.4 ms for files
    named slowed, with noise, one in twenty three times as long, and all together faster and slower in periods of 20 s.
    """
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "onnxruntime.py").write_text(MISBEHAVING)
    (folder / "clock").write_bytes(bytes(8))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
