"""The page and its sentence."""

import csv
import io
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pmsi_bench.host.accuracy import Accuracy
from pmsi_bench.host.machine import Machine
from pmsi_bench.host.operators import Work
from pmsi_bench.host.rounds import Measurement, NotMeasured, Outcome, Timing
from pmsi_bench.host.sustained import Window
from pmsi_bench.reports.host_report import as_csv, as_html, as_markdown, write_report
from pmsi_bench.results.choice import pareto_front
from pmsi_bench.results.host_result import BenchResult, summarise
from pmsi_bench.results.host_verdict import candidates, choice, verdict
from pmsi_bench.subjects.subject import Job, Subject
from pmsi_export.checks.inspect import Operator
from pmsi_export.contract.schema import PreprocessingSpec
from tests.benchmarks.browser import assert_looks_right, needs_browser
from tests.benchmarks.conftest import SIDE

MACHINE = Machine(
    cpu="Test CPU",
    cores=2,
    memory_gib=4,
    load_average=0.1,
    system="Linux",
    architecture="x86_64",
    versions={"onnxruntime": "9.9.9"},
)

ParityStatus = Literal["passed", "failed", "not measured"]


def timing(milliseconds: float, rounds: int = 8) -> Timing:
    burst = tuple(round(1e6 * milliseconds * factor) for factor in (0.99, 1.0, 1.01))
    return Timing(load_ms=(12.5,), first_inference_ms=34.5, memory_bytes=56_000_000, rounds=(burst,) * rounds)


@pytest.fixture
def bench(tmp_path: Path):
    """A result of files by name; accuracy: by name, the share of 200 photos."""

    def make(accuracy: dict[str, float] | None = None, **files: tuple[Outcome, ParityStatus]) -> BenchResult:
        rows = []
        for name, (_, parity) in files.items():
            model = tmp_path / f"{name}.onnx"
            model.write_bytes(b"x" * 1_230_000)
            rows.append(
                Subject(
                    name=model.name,
                    job=Job(model, SIDE),
                    format="onnx",
                    runtime="ONNX Runtime",
                    precision="fp32",
                    preprocessing=PreprocessingSpec(resize=SIDE, crop=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3),
                    head="mix",
                    classes=("a", "b", "c"),
                    checkpoint_sha256="0" * 64,
                    content_sha256="1" * 64,
                    parity=parity,
                    gate="max abs difference <= 0.0001",
                )
            )
        work = Work(macs=2_000_000_000, delegated=0.5, partitions=2, operators=[Operator("CONV_2D", 7, "interpreter")])
        return summarise(
            rows,
            Measurement([outcome for outcome, _ in files.values()], "rounds"),
            command="pmsi-bench 'my models' --rounds 8",
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            width=None,
            baseline=0,
            machine=MACHINE,
            peaks={1: 200e9},
            work={rows[0].name: work},
            accuracy={
                f"{name}.onnx": Accuracy(photos=200, top1=top1, agreement=None)
                for name, top1 in (accuracy or {}).items()
            },
            photos=Path("birds") if accuracy else None,
            problems={},
            sustained={rows[0].name: [Window(seconds=s, median_ms=10 + s, inferences=9) for s in range(1, 21)]},
        )

    return make


def test_page_has_the_figures_and_fetches_nothing(bench):
    result = bench(
        one=(timing(20), "passed"),
        two=(timing(25), "passed"),
        dead=(NotMeasured("its process ended (killed by SIGABRT): <oops>", False), "passed"),
    )
    page = as_html(result)
    for text in (
        "20.00",
        "25.00",
        "1.250 (1.250 to 1.250)",
        "1.23",
        "12.5",
        "34.50",
        "Test CPU",
        "onnxruntime 9.9.9",
        "all that were asked for",
        "7 CONV_2D (interpreter)",
        "50 %",
    ):
        assert text in page
    assert "&lt;oops&gt;" in page
    assert "pmsi-bench &#39;my models&#39; --rounds 8" in page
    assert "not on a phone" in page
    assert page.count("<svg") == 2
    assert "<script" not in page
    assert not re.search(r"\bsrc=|url\((?!#)|@import|<link|href=\"(?!#)", page)


def test_page_without_any_figure(bench):
    page = as_html(bench(dead=(NotMeasured("no such runtime", True), "not measured")))
    assert "Time per image" not in page
    assert "cannot run on this system: no such runtime" in page
    assert "No file that was measured here has passed" in page


def test_sentence_names_the_fastest_file_that_passed_parity(bench):
    result = bench(wrong=(timing(1), "failed"), slow=(timing(30), "passed"), fast=(timing(20), "passed"))
    assert choice(result).name == "fast.onnx"
    assert verdict(result) == (
        "fast.onnx (ONNX Runtime, fp32) has the smallest median of the 2 files that passed parity: median 20.00 ms on "
        "this host with 1 thread. Next is slow.onnx, which takes 1.50 times as long (95 % interval 1.50 to 1.50)."
    )


def test_sentence_claims_no_lead_that_the_interval_does_not_show(bench):
    assert "two.onnx cannot be told from it" in verdict(bench(one=(timing(20), "passed"), two=(timing(20), "passed")))
    few = bench(one=(timing(20, rounds=3), "passed"), two=(timing(25, rounds=3), "passed"))
    assert "no interval can be given" in verdict(few)


def test_ratios_refer_to_the_first_file_that_was_measured(bench):
    result = bench(dead=(NotMeasured("gone", False), "passed"), one=(timing(20), "passed"), two=(timing(25), "passed"))
    assert result.baseline == "one.onnx"
    assert result.files[0].figures is None
    assert result.files[1].figures.ratio.median == 1
    assert result.files[2].figures.ratio.median == pytest.approx(1.25)


def test_a_faster_file_is_not_taken_when_it_loses_more_than_a_point(bench):
    result = bench(
        accuracy={"exact": 0.9, "near": 0.895, "coarse": 0.85, "wrong": 0.95},
        exact=(timing(30), "passed"),
        near=(timing(20), "passed"),
        coarse=(timing(10), "passed"),
        wrong=(timing(1), "failed"),
    )
    assert choice(result).name == "near.onnx"
    assert pareto_front(candidates(result)) == ["coarse.onnx", "near.onnx", "exact.onnx"]
    assert "89.5% right of 200 photos, 0.5 points below the best" in verdict(result)
    page = as_html(result)
    assert "Accuracy against latency" in page
    assert page.count("<svg") == 3


def test_csv_and_markdown_have_the_same_figures(bench):
    result = bench(one=(timing(20), "passed"), dead=(NotMeasured("its process ended", False), "passed"))
    one, dead = csv.DictReader(io.StringIO(as_csv(result)))
    assert (one["median_ms"], one["memory_mb"], one["gmacs_per_second"]) == ("20.000", "56.000", "100.0")
    # From 11 to 14 ms in the first fifth, from 27 to 30 in the last.
    assert float(one["slow_down"]) == pytest.approx(28.5 / 12.5, abs=0.001)
    assert (dead["median_ms"], dead["reason"]) == ("", "its process ended")
    text = as_markdown(result)
    assert "| `one.onnx` | fp32 | 1 | 1.23 | 56.000 | 20.000 |" in text
    assert "failed: its process ended" in text


@needs_browser
def test_a_browser_shows_the_page(bench, tmp_path):
    page = tmp_path / "page.html"
    files = {"one": (timing(20), "passed"), "two": (timing(12), "passed")}
    write_report(bench(accuracy={"one": 0.9, "two": 0.895}, **files), page)
    assert_looks_right(page)
