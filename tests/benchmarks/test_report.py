"""The page and its sentence."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from pmsi_bench.measure import NotMeasured, Outcome, Timing
from pmsi_bench.report import render
from pmsi_bench.results import BenchResult, summarise
from pmsi_bench.system import Machine
from pmsi_bench.verdict import fastest, verdict
from tests.benchmarks.conftest import contract_of

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
    return Timing(load_ms=12.5, first_inference_ms=34.5, rounds=(burst,) * rounds)


@pytest.fixture
def bench(tmp_path: Path):
    def make(**files: tuple[Outcome, ParityStatus]) -> BenchResult:
        models = [tmp_path / f"{name}.onnx" for name in files]
        for model in models:
            model.write_bytes(b"x" * 1_230_000)
        contracts = [contract_of(model, parity) for model, (_, parity) in zip(models, files.values(), strict=True)]
        return summarise(
            models,
            contracts,
            [outcome for outcome, _ in files.values()],
            command="pmsi-bench 'my models' --rounds 8",
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            threads=1,
            rounds_asked=8,
            machine=MACHINE,
        )

    return make


def test_page_has_the_figures_and_fetches_nothing(bench):
    result = bench(
        one=(timing(20), "passed"),
        two=(timing(25), "passed"),
        dead=(NotMeasured("its process ended (killed by SIGABRT): <oops>", False), "passed"),
    )
    page = render(result)
    for text in (
        "20.00",
        "25.00",
        "1.250 to 1.250",
        "1.23",
        "12.5",
        "34.50",
        "Test CPU",
        "onnxruntime 9.9.9",
        "8 of 8",
    ):
        assert text in page
    assert "&lt;oops&gt;" in page
    assert "pmsi-bench &#39;my models&#39; --rounds 8" in page
    assert "not on a phone" in page
    assert page.count("<svg") == 1
    assert "<script" not in page
    assert not re.search(r"\bsrc=|url\((?!#)|@import|<link|href=\"(?!#)", page)


def test_page_without_any_figure(bench):
    page = render(bench(dead=(NotMeasured("no such runtime", True), "not measured")))
    assert "cannot run on this system: no such runtime" in page
    assert "No file that was measured here has passed" in page
    assert "<svg" not in page


def test_sentence_names_the_fastest_file_that_passed_parity(bench):
    result = bench(wrong=(timing(1), "failed"), slow=(timing(30), "passed"), fast=(timing(20), "passed"))
    assert fastest(result).name == "fast.onnx"
    assert verdict(result) == (
        "fast.onnx (ONNX Runtime, fp32) is the fastest of the 2 files that passed parity: median 20.00 ms on this host "
        "with 1 thread. Next is slow.onnx, which takes 1.50 times as long (95 % interval 1.50 to 1.50)."
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
