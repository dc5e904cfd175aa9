"""What the demo app's benchmark does: each function is the app's of the same name, and says what that says.

The sentences are those of the app's resources; `test_app.py` looks for each of them in its code. Outputs are computed
on the host by the file's runtime; latencies are made up.
"""

import hashlib
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.phone.adbd.phone import STORAGE, Phone

PACKAGE = "org.pmsi.mobile.demo"
FILES = f"{STORAGE}/{PACKAGE}/files"

_STRINGS = ET.parse(Path(__file__).parents[4] / "android_demo/app/src/main/res/values/strings.xml")
_SAID = (
    "delegate_unused", "delegate_unknown", "delegate_nnapi", "model_unopened", "model_needs_runtime", "model_nowhere",
    "model_memory", "model_fails_why", "model_not_finite",
)  # fmt: skip
SENTENCES = {name: _STRINGS.findtext(f"string[@name='{name}']", "") for name in _SAID}
"""Of the app's resources, by their names; `%1$s` is the first part."""

# What the GPU delegate tells the interpreter, whose message begins so.
GPU_REFUSES = (
    "Internal error: Failed to apply delegate: Following operations are not supported by GPU delegate:\n"
    "EXP: Operation is not supported.\n"
)


@dataclass(frozen=True)
class Runtime:
    """InferenceRuntime. delegates: it falls back to the first."""

    id: str
    title: str
    suffix: str
    delegates: tuple[str, ...]
    version: str | None


RUNTIMES = (
    Runtime("litert", "LiteRT", ".tflite", ("cpu", "gpu", "nnapi"), "1.4.0"),
    Runtime("onnxruntime", "ONNX Runtime", ".onnx", ("cpu", "xnnpack", "nnapi"), "1.23.2"),
    Runtime("executorch", "ExecuTorch", ".pte", ("xnnpack",), None),
)


class ModelProblem(Exception):
    """A sentence for people."""


class RuntimeProblem(Exception):
    """What a runtime throws."""


def say(name: str, *parts: object) -> str:
    """A sentence with `parts` in it."""
    return re.sub(r"%(\d)\$s", lambda found: str(parts[int(found[1]) - 1]), SENTENCES[name])


def benchmark(phone: Phone, extras: dict[str, str]) -> dict[str, Any]:
    """Benchmark.run, and BenchmarkResult.toJson of what came of it."""
    digest, runtime, measurement, error = None, extras["runtime"], None, None
    try:
        model = phone.path(f"{FILES}/models/{extras['model']}")
        if not model.is_file():
            raise ModelProblem(say("model_nowhere", extras["model"]))
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
        measurement = _measure(phone, model, extras)
    except ModelProblem as problem:
        error = str(problem)
    except MemoryError:
        error = say("model_memory", extras["model"])
    except RuntimeProblem as problem:
        error = say("model_fails_why", extras["model"], _reason(problem))
    measured = measurement or dict.fromkeys(_MEASURED)
    return {
        "schema_version": 1,
        "app_version": "1.0",
        "model": extras["model"],
        "model_sha256": digest,
        "runtime": runtime,
        "threads": int(extras["threads"]),
        "warmup": int(extras["warmup"]),
        "device": {
            "manufacturer": "Pretended",
            "model": phone.model,
            "soc": "PT1000",
            "android": "14",
            "sdk": phone.sdk,
            "abi": phone.abi,
        },
        "error": error,
        **measured,
        "delegate": measured["delegate"] or extras["delegate"],
        "memory": measured["memory"] or {"rss_before_bytes": None, "rss_peak_bytes": None},
    }


_MEASURED = (
    "runtime_version", "delegate", "delegate_note", "load_ms", "first_inference_ms", "latencies_ns", "memory",
    "thermal_status_before", "thermal_status_after", "golden",
)  # fmt: skip


def _measure(phone: Phone, model: Path, extras: dict[str, str]) -> dict[str, Any]:
    """Benchmark.measure."""
    runtime = next(each for each in RUNTIMES if each.suffix == model.suffix)
    delegate, note = _open(phone, runtime, model, extras["delegate"])
    if phone.app.behaviour == "runs out of memory":
        raise MemoryError
    if phone.app.behaviour == "fails to run":
        raise RuntimeProblem("Internal error: Unexpected failure when preparing tensor allocations")
    pace = 4_000_000 // (2 if delegate == "gpu" else 1)
    known = phone.sdk >= 29
    return {
        "runtime_version": runtime.version,
        "delegate": delegate,
        "delegate_note": note,
        "load_ms": 12.5,
        "first_inference_ms": 20.25,
        "latencies_ns": [pace + 10_000 * (run % 7) for run in range(int(extras["runs"]))],
        "memory": {"rss_before_bytes": 90_000_000, "rss_peak_bytes": 130_000_000},
        "thermal_status_before": 0 if known else None,
        "thermal_status_after": (2 if phone.app.behaviour == "throttles" else 0) if known else None,
        "golden": _golden(phone, model, delegate),
    }


def _open(phone: Phone, runtime: Runtime, model: Path, delegate: str) -> tuple[str, str | None]:
    """InferenceRuntime.open: what it runs on, and why that is not what was asked for."""
    if runtime.id not in phone.app.runtimes:
        raise ModelProblem(say("model_needs_runtime", model.name, runtime.title, runtime.id))
    usual = runtime.delegates[0]
    note = None
    if delegate != usual:
        try:
            if delegate not in runtime.delegates:
                raise RuntimeProblem(say("delegate_unknown", runtime.title))
            _engine_open(phone, runtime, delegate)
        except RuntimeProblem as problem:
            note = say("delegate_unused", delegate, usual, _reason(problem))
        else:
            return delegate, None
    try:
        _engine_open(phone, runtime, usual)
    except RuntimeProblem as problem:
        raise ModelProblem(say("model_unopened", runtime.title, model.name, _reason(problem))) from None
    return usual, note


def _engine_open(phone: Phone, runtime: Runtime, delegate: str) -> None:
    """Engine.open."""
    if phone.app.behaviour == "cannot open":
        raise RuntimeProblem("ByteBuffer is not a valid TensorFlow Lite model flatbuffer")
    if delegate == "gpu":
        phone.app.gpu_opens -= 1
        if phone.gpu == "refused" or phone.app.gpu_opens < 0:
            raise RuntimeProblem(GPU_REFUSES)
    if (runtime.id, delegate) == ("litert", "nnapi") and phone.sdk < 27:
        raise RuntimeProblem(say("delegate_nnapi"))


def _reason(problem: RuntimeProblem) -> str:
    return str(problem).splitlines()[0][:200]


def _golden(phone: Phone, model: Path, delegate: str) -> list[list[float]] | None:
    from pmsi_export.contract.golden_samples import golden_of
    from pmsi_export.formats.open import load_file, read_contract
    from pmsi_export.runtime.runner import all_classes

    contract = read_contract(model)
    golden = golden_of(model, contract)
    if golden is None:
        return None
    runner = all_classes(load_file(model, 1, verify=False), contract)
    outputs = [np.asarray(runner.predict(image)) for image in golden.images]
    if delegate == "gpu":
        outputs = [phone.on_gpu(output) for output in outputs]
    if not all(np.isfinite(output).all() for output in outputs):
        raise ModelProblem(say("model_not_finite", delegate.upper()))
    return [[float(value) for value in output] for output in outputs]
