"""pmsi-bench --device adb --runner app: the demo app's benchmark over adb."""

import json
import re
from pathlib import Path

import pytest

from pmsi_bench.phone.app_result import parse_app_result
from pmsi_mobile.errors import MeasurementError
from tests.benchmarks.command import pmsi_bench
from tests.benchmarks.phone.adbd.demo_app import RUNTIMES, SENTENCES
from tests.benchmarks.phone.adbd.phone import App, Phone
from tests.benchmarks.phone.workbench import plugged_in

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


def test_what_throttled_is_said(adb, tmp_path: Path, models: Path):
    phone = Phone(tmp_path / "phone", app=App(behaviour="throttles"))
    with plugged_in(adb, phone):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--runner", "app", "--delegate", "gpu", "--rounds", 1
        )
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "ckpt.tflite, gpu: how much of the file gpu takes, the app's runtime does not tell" in text
    assert "ckpt.tflite, gpu: the phone throttled in one of the rounds, its figures may be too long" in text


@pytest.mark.parametrize(
    ("file", "delegate", "phone_has", "reason"),
    [
        ("ckpt.tflite", "gpu", {"gpu": "refused"}, "Internal error: Failed to apply delegate: "),
        ("ckpt.tflite", "nnapi", {"sdk": 26}, "it came with Android 8.1"),
        ("ckpt.onnx", "gpu", {}, "ONNX Runtime has no such delegate"),
    ],
)
def test_a_row_that_fell_back_to_the_cpu_fails(
    adb, tmp_path: Path, models: Path, file: str, delegate: str, phone_has: dict, reason: str
):
    with plugged_in(adb, Phone(tmp_path / "phone", **phone_has)):
        shown = pmsi_bench(
            models / file, "--device", "adb", "--runner", "app", "--delegate", f"{delegate},cpu", "--rounds", 2,
            "--runs", 5, "--json", "--report", tmp_path / "page.md",
        )  # fmt: skip
    assert shown.code == 1
    fallen, on_cpu = shown.result.rows
    assert (fallen.status, fallen.figures, on_cpu.status) == ("failed", None, "measured")
    assert fallen.reason.startswith(f"the app fell back: {delegate} could not be used, ran on cpu: {reason}")
    assert (tmp_path / "page.md").read_text().startswith(f"{file}, cpu is the only one that passed")


def test_a_row_that_falls_back_later_keeps_no_rank(adb, tmp_path: Path, models: Path):
    with plugged_in(adb, Phone(tmp_path / "phone", app=App(gpu_opens=2))):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--runner", "app", "--delegate", "gpu", "--rounds", 3, "--runs",
            5, "--report", tmp_path / "page.md",
        )  # fmt: skip
    assert shown.code == 1
    assert "ckpt.tflite, gpu: partial, the app fell back" in " ".join(shown.out.split())
    assert (tmp_path / "page.md").read_text().startswith("No file that was measured on this phone has passed")


def test_outputs_of_a_run_that_fell_back_are_not_the_gpu_s(adb, tmp_path: Path, models: Path):
    with plugged_in(adb, Phone(tmp_path / "phone", app=App(gpu_opens=2))):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--runner", "app", "--delegate", "gpu", "--rounds", 2, "--json"
        )
    [row] = shown.result.rows
    assert (row.status, row.parity.status) == ("measured", "not measured")
    assert row.parity.reason.startswith("the app fell back: gpu could not be used")


def test_the_gpu_s_own_outputs_are_judged(adb, tmp_path: Path, models: Path):
    with plugged_in(adb, Phone(tmp_path / "phone", gpu="constant")):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--runner", "app", "--delegate", "gpu", "--rounds", 1
        )
    assert shown.code == 1
    assert "outputs of the phone fail their gate: ckpt.tflite, gpu" in shown.err


def test_the_pretended_app_says_nothing_that_the_app_does_not():
    sources = (Path(__file__).parents[3] / "android_demo/app/src").rglob("main/**/*.kt")
    others = (Path(__file__).parents[3] / "android_demo/app/src").glob("*/kotlin/**/*Engine.kt")
    code = "".join(source.read_text(encoding="utf-8") for source in [*sources, *others])
    assert [name for name in SENTENCES if f"R.string.{name}," not in code and f"R.string.{name})" not in code] == []
    assert all(SENTENCES.values())


def test_the_pretended_app_has_the_runtimes_of_the_app():
    kotlin = Path(__file__).parents[3] / "android_demo/app/src/main/kotlin/org/pmsi/mobile/demo"
    code = (kotlin / "runtime/InferenceRuntime.kt").read_text(encoding="utf-8")
    entries = re.findall(r'"(\w+)",\s*"([\w ]+)",\s*"(\w+)",\s*listOf\(([^)]*)\)', code)
    told = [
        (name, title, f".{suffix}", tuple(each.strip().removeprefix("Delegate.").lower() for each in names.split(",")))
        for name, title, suffix, names in entries
    ]
    assert told == [(each.id, each.title, each.suffix, each.delegates) for each in RUNTIMES]
