"""pmsi-bench --device adb --runner app: the demo app's benchmark over adb."""

import json
from pathlib import Path

import pytest

from pmsi_bench.phone.app_result import parse_app_result
from pmsi_mobile.errors import MeasurementError
from tests.benchmarks.phone.adbd.phone import App, Phone
from tests.benchmarks.phone.workbench import plugged_in, pmsi_bench

SAMPLE = (Path(__file__).parents[1] / "app_result.json").read_bytes()


def test_sample_that_the_app_is_tested_against_too():
    result = parse_app_result(SAMPLE)
    assert (result.runtime, result.delegate, len(result.latencies_ns)) == ("litert", "gpu", 5)
    assert result.memory.rss_peak_bytes == 143654912


def test_results_of_another_version_and_errors_of_the_app_are_told():
    for change, words in (
        ({"schema_version": 2}, "writes results of version 2, this pmsi-bench reads version 1"),
        ({"error": "The model is broken.", "load_ms": None}, "the app says: The model is broken."),
        ({"surprise": 1}, r"cannot be read \(surprise: "),
        ({"latencies_ns": "many"}, r"cannot be read \(latencies_ns: "),
    ):
        with pytest.raises(MeasurementError, match=words):
            parse_app_result(json.dumps(json.loads(SAMPLE) | change).encode())


def test_two_formats_in_the_app(adb, phone: Phone, models: Path):
    with plugged_in(adb, phone):
        shown = pmsi_bench(
            models / "ckpt.tflite", models / "ckpt.onnx", "--device", "adb", "--runner", "app",
            "--rounds", 2, "--runs", 8, "--threads", 4, "--json",
        )  # fmt: skip
    assert shown.code == 0, shown.err
    result = shown.result
    assert (result.runner, result.tool_sha256) == ("app", None)
    assert [(row.title, row.status, row.parity.status) for row in result.rows] == [
        ("ckpt.tflite, cpu", "measured", "passed"),
        ("ckpt.onnx, cpu", "measured", "passed"),
    ]
    first = result.rows[0]
    assert first.figures.inferences == 16
    assert len(first.rounds[0].latencies_ns) == 8
    assert first.inspection.peak_memory_mb == pytest.approx(130_000_000 / 2**20)
    assert phone.left_behind == []
    assert not phone.app.running


def test_what_fell_back_and_what_throttled_is_said(adb, tmp_path: Path, models: Path):
    phone = Phone(tmp_path / "phone", app=App(behaviour="throttles"))
    with plugged_in(adb, phone):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--runner", "app", "--delegate", "gpu", "--rounds", 1
        )
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "ckpt.tflite, gpu: 2 operators ran on the CPU" in text
    assert "ckpt.tflite, gpu: the phone throttled in one of the rounds, its figures may be too long" in text
