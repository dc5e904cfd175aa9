"""The reports of a phone, from a run on the pretended one."""

import csv
from pathlib import Path

import pytest

from tests.benchmarks.browser import assert_looks_right, needs_browser
from tests.benchmarks.command import pmsi_bench
from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.workbench import make_tool, plugged_in


@pytest.fixture(scope="module")
def reports(models: Path, adb: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    asked = [part for suffix in ("html", "csv", "md", "json") for part in ("--report", folder / f"phone.{suffix}")]
    with plugged_in(adb, Phone(folder / "phone")):
        shown = pmsi_bench(
            models / "ckpt.tflite", models / "ckpt-int8.tflite", models / "ckpt.onnx", "--device", "adb",
            "--benchmark-model", make_tool(folder), "--rounds", 6, "--runs", 5, *asked,
        )  # fmt: skip
    assert shown.code == 0, shown.err
    assert "wrote " in shown.out
    return folder


def test_the_page_has_sentence_figures_phone_and_command(reports: Path):
    page = (reports / "phone.html").read_text()
    for text in (
        "passed parity on the phone",
        "Pretended Pixel Test",
        "4 at up to 2850 MHz",
        "not runnable: benchmark_model runs .tflite only",
        "Operators that take longest: ckpt.tflite, cpu",
        "1 thread in fixed-performance mode, which holds the clocks below their maximum. Next is",
        "held below their maximum (fixed-performance mode): so are all latencies here",
        "pmsi-bench",
    ):
        assert text in page, text
    assert "<script" not in page


def test_csv_and_markdown_have_a_line_per_row(reports: Path):
    first, second, refused = csv.DictReader((reports / "phone.csv").open())
    assert (first["file"], first["on_device_parity"], first["ratio"]) == ("ckpt.tflite", "passed", "1.000")
    assert float(second["typical_ms"]) > 0
    assert (second["fixed_performance"], second["network"]) == ("True", "1")
    assert (refused["status"], refused["typical_ms"]) == ("not runnable", "")
    text = (reports / "phone.md").read_text()
    assert "| `ckpt.tflite` | fp32 | cpu |" in text
    assert "Pretended PT1000, Android 14" in text
    assert "6 rounds of 5, in fixed-performance mode, which holds" in text


@needs_browser
def test_a_browser_shows_the_page(reports: Path):
    assert_looks_right(reports / "phone.html")
