"""The page and its sentence."""

import csv
import html
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
from pmsi_bench.reports.plots import Bar, Point, accuracy_plot, latency_plot, sustained_plot
from pmsi_bench.results.choice import pareto_front
from pmsi_bench.results.host_result import BenchResult, summarise
from pmsi_bench.results.host_verdict import candidates, choices, verdict
from pmsi_bench.subjects.function import Function
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
    """A result of files by name; accuracy: by name, the share of 200 photos; of: by name, which checkpoint's."""

    def make(
        accuracy: dict[str, float] | None = None,
        of: dict[str, str] | None = None,
        precisions: dict[str, str] | None = None,
        **files: tuple[Outcome, ParityStatus],
    ) -> BenchResult:
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
                    precision=(precisions or {}).get(name, "fp32"),
                    preprocessing=PreprocessingSpec(resize=SIDE, crop=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3),
                    function=Function((of or {}).get(name, "0") * 64, "mix", SIDE, ("a", "b", "c")),
                    content_sha256="1" * 64,
                    parity=parity,
                    gate="max abs difference <= 0.0001",
                )
            )
        rounds = max([len(outcome.rounds) for outcome, _ in files.values() if isinstance(outcome, Timing)], default=0)
        work = Work(macs=2_000_000_000, delegated=0.5, partitions=2, operators=[Operator("CONV_2D", 7, "interpreter")])
        return summarise(
            rows,
            Measurement([outcome for outcome, _ in files.values()], "rounds"),
            command="pmsi-bench 'my models' --rounds 8",
            started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            width=None,
            baseline=0,
            machine=MACHINE,
            peaks={1: [200e9] * rounds},
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
    assert [file.name for file in choices(result)] == ["fast.onnx"]
    assert verdict(result) == [
        "fast.onnx (ONNX Runtime, fp32) has the smallest median of the 2 files that passed parity: median 20.00 ms on "
        "this host with 1 thread. Next is slow.onnx, which takes 1.50 times as long (95 % interval 1.50 to 1.50)."
    ]


def test_sentence_claims_no_lead_that_the_interval_does_not_show(bench):
    [sentence] = verdict(bench(one=(timing(20), "passed"), two=(timing(20), "passed")))
    assert "two.onnx cannot be told from it" in sentence
    few = bench(one=(timing(20, rounds=3), "passed"), two=(timing(25, rounds=3), "passed"))
    assert "no interval can be given" in verdict(few)[0]


def test_ratios_refer_to_the_first_file_that_was_measured(bench):
    result = bench(dead=(NotMeasured("gone", False), "passed"), one=(timing(20), "passed"), two=(timing(25), "passed"))
    assert result.baseline == "one.onnx"
    assert result.files[0].figures is None
    assert result.files[1].figures.ratio.median == 1
    assert result.files[2].figures.ratio.median == pytest.approx(1.25)


def test_files_of_different_networks_are_not_compared(bench, tmp_path):
    result = bench(
        of={"a1": "a", "b1": "b", "a2": "a", "b2": "b", "c": "c"},
        accuracy={"a1": 0.9, "b1": 0.5, "a2": 0.9, "b2": 0.5, "c": 0.7},
        a1=(timing(20), "passed"),
        b1=(timing(1), "passed"),
        a2=(timing(30), "passed"),
        b2=(timing(2), "passed"),
        c=(timing(4), "failed"),
    )
    assert [file.network for file in result.files] == [0, 1, 0, 1, 2]
    assert [network.baseline for network in result.networks] == ["a1.onnx", "b1.onnx", "c.onnx"]
    assert [file.figures.ratio.median for file in result.files] == pytest.approx([1, 1, 1.5, 2, 1])
    assert [file.name for file in choices(result)] == ["a1.onnx", "b1.onnx"]
    head, *sentences = verdict(result)
    assert head == "These are files of 3 different networks, which are not compared with each other."
    begun = [sentence.partition("that passed")[0] for sentence in sentences]
    assert begun[0] == (
        f"Network 1 (checkpoint aaaaaaaa, 3 classes, {SIDE} px): a1.onnx (ONNX Runtime, fp32) has the smallest median "
        "of the 2 files "
    )
    assert begun[1].startswith(f"Network 2 (checkpoint bbbbbbbb, 3 classes, {SIDE} px): b1.onnx")
    assert sentences[2].endswith("No file that was measured here has passed its parity gate.")
    page = as_html(result)
    # Two of accuracy, for three networks one of latency each, and the one of sustained load.
    assert page.count("<svg") == 6
    assert page.count("<h3>Network 1 (") == 2
    assert [row["network"] for row in csv.DictReader(io.StringIO(as_csv(result)))] == ["1", "2", "1", "2", "3"]
    text = as_markdown(result)
    assert all(sentence in text for sentence in sentences)
    assert "| `b2.onnx` | 2 | fp32 | 1 |" in text


def test_the_wanted_baseline_is_that_of_its_network_alone(bench):
    result = bench(of={"a": "a", "b": "b"}, a=(NotMeasured("gone", False), "passed"), b=(timing(5), "passed"))
    assert (result.baseline, [network.baseline for network in result.networks]) == ("b.onnx", [None, "b.onnx"])


def test_share_of_the_peak_is_that_of_the_same_round(bench, tmp_path):
    result = bench(one=(timing(20), "passed"))
    # 2 G in 20 ms.
    assert result.files[0].figures.peak_share == pytest.approx(0.5)
    assert "50 %" in as_html(result)


def test_integers_have_no_share_of_the_peak_of_floats(bench):
    result = bench(precisions={"one": "int8"}, one=(timing(20), "passed"))
    assert result.files[0].figures.peak_share is None
    assert result.files[0].work.macs


def test_a_slow_tail_does_not_squeeze_the_bars():
    bars = [Bar("steady", [10.0] * 8, 10.0, 11.0), Bar("tail", [10.0] * 7 + [500.0], 10.0, 900.0)]
    picture = latency_plot(bars)
    assert "triangle: goes on beyond the scale" in words(picture)
    assert bar_share(picture) > 0.35
    steady = latency_plot([Bar("steady", [10.0] * 8, 10.0, 11.0), Bar("slow", [100.0] * 8, 100.0, 110.0)])
    assert "triangle" not in words(steady)


NAMES = ["two\nlines", "漢字.onnx", "🐦.onnx", "_hidden", "$x_{$", "\x1b[31mred", "x" * 300, "a\u202eb", "\udc80"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("plot", ["bars", "points", "windows"])
def test_every_name_can_be_drawn_without_a_warning(plot, caplog):
    pictures = {
        "bars": lambda: latency_plot([Bar(name, [1.0] * 6, 1.0, 1.1) for name in NAMES]),
        "points": lambda: accuracy_plot([Point(name, 1.0 + i, 0.5, True, True) for i, name in enumerate(NAMES)]),
        "windows": lambda: sustained_plot(
            {name: [Window(seconds=s, median_ms=1, inferences=9) for s in (1, 2)] for name in NAMES}
        ),
    }
    picture = pictures[plot]()
    assert caplog.records == []
    told = words(picture)
    for name in ("two\\nlines", "_hidden", "$x_{$", "\\x1b[31mred", "a\\u202eb"):
        assert name in told, told


def words(picture: str) -> str:
    """What is written in a plot: matplotlib notes it beside the paths."""
    return html.unescape(" ".join(re.findall(r"<!-- (.*?) -->", picture)))


def bar_share(picture: str) -> float:
    """Length of the longest bar, as a share of the picture's width."""
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', picture)[1])
    bars = re.findall(r'<path d="M ([\d.]+) [\d.]+ \nL ([\d.]+) [^"]*z\n" clip-path[^>]*fill: var\(--accent\)', picture)
    return max(abs(float(end) - float(start)) for start, end in bars) / width


def test_a_faster_file_is_not_taken_when_it_loses_more_than_a_point(bench):
    result = bench(
        accuracy={"exact": 0.9, "near": 0.895, "coarse": 0.85, "wrong": 0.95},
        exact=(timing(30), "passed"),
        near=(timing(20), "passed"),
        coarse=(timing(10), "passed"),
        wrong=(timing(1), "failed"),
    )
    assert [file.name for file in choices(result)] == ["near.onnx"]
    assert pareto_front(candidates(result, 0)) == ["coarse.onnx", "near.onnx", "exact.onnx"]
    assert "89.5% right of 200 photos, 0.5 points below the best" in verdict(result)[0]
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
