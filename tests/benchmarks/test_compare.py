"""Two results, before and after."""

import json
import random
from pathlib import Path

import pytest

from pmsi_bench.results.compare import compare
from pmsi_bench.results.host_result import BenchResult
from pmsi_bench.statistics import shift
from tests.benchmarks.command import pmsi_bench

FILES = {"base.tflite": 20.0, "other.tflite": 10.0}


def result(seed: int, machine: float = 1.0, **factors: float) -> BenchResult:
    """20 rounds with 2 % of noise; machine: how many times as long everything takes; factors: a single file."""
    noise = random.Random(seed)
    files = []
    for number, (name, milliseconds) in enumerate(FILES.items()):
        factor = machine * factors.get(name.split(".")[0], 1.0)
        medians = [milliseconds * factor * noise.gauss(1, 0.02) for _ in range(20)]
        figures = {
            "load_ms": 1,
            "first_inference_ms": 1,
            "memory_bytes": 1,
            "latency": dict.fromkeys(("median_ms", "p90_ms", "p99_ms", "min_ms", "mean_ms", "stdev_ms"), 1.0)
            | {"inferences": 20},
            "ratio": {"median": 1, "low": 1, "high": 1},
            "round_medians_ms": medians,
        }
        files.append(
            {
                "name": name,
                "path": name,
                "format": "tflite",
                "runtime": "LiteRT",
                "precision": "fp32",
                "input_side": 224,
                "threads": 1,
                "size_bytes": 1,
                "checkpoint_sha256": "0" * 64,
                "content_sha256": str(number) * 64,
                "parity": "passed",
                "gate": "",
                "status": "measured",
                "reason": None,
                "figures": figures,
                "work": None,
                "accuracy": {"photos": 100, "top1": 0.9, "agreement": None},
                "sustained": [],
            }
        )
    return BenchResult.model_validate(
        {
            "command": "pmsi-bench",
            "started": "2026-01-01T00:00:00Z",
            "rounds": 20,
            "stopped": "rounds",
            "width": None,
            "baseline": "base.tflite",
            "machine": {
                "cpu": "x",
                "cores": 2,
                "memory_gib": 1,
                "load_average": 0,
                "system": "",
                "architecture": "",
                "versions": {},
            },
            "peak_macs_per_second": {},
            "photos": None,
            "files": files,
        }
    )


def verdicts(old: BenchResult, new: BenchResult) -> dict[str, str]:
    return {change.name: change.verdict for change in compare(old, new).changes}


@pytest.mark.parametrize("machine", [1.0, 1.3])
def test_the_same_files_on_a_faster_or_slower_day_are_no_difference(machine):
    comparison = compare(result(1), result(2, machine))
    [other] = comparison.changes
    assert (other.name, other.verdict, other.accuracy) == ("other.tflite", "no difference", 0)
    assert comparison.machine.median == pytest.approx(machine, abs=0.03)


def test_a_tenth_more_is_found_on_a_slower_day_too():
    assert verdicts(result(1), result(2, 1.3, other=1.1))["other.tflite"] == "slower"
    assert verdicts(result(1), result(2, 1.3, other=0.9))["other.tflite"] == "faster"


def test_twenty_comparisons_without_a_difference_find_hardly_any():
    wrong = [
        verdict
        for seed in range(20)
        for verdict in verdicts(result(seed), result(seed + 100)).values()
        if verdict != "no difference"
    ]
    # Twenty intervals of 95 %: one is expected to miss.
    assert len(wrong) <= 3


def test_another_baseline_and_processor_are_said():
    new = result(2)
    first = new.files[0].model_copy(update={"content_sha256": "9" * 64})
    machine = new.machine.model_copy(update={"cpu": "y"})
    comparison = compare(result(1), new.model_copy(update={"files": [first, new.files[1]], "machine": machine}))
    assert comparison.machine is None
    assert len(comparison.changes) == 2
    assert any("x before, y now" in line for line in comparison.warnings)
    assert any("baselines are not the same file" in line for line in comparison.warnings)


def test_other_versions_of_the_runtime_make_the_baseline_no_measure_of_the_machine():
    new = result(2, 1.1)
    machine = new.machine.model_copy(update={"versions": {"ai-edge-litert": "2"}})
    old = result(1)
    before = old.machine.model_copy(update={"versions": {"ai-edge-litert": "1"}})
    comparison = compare(old.model_copy(update={"machine": before}), new.model_copy(update={"machine": machine}))
    assert comparison.machine is None
    assert {change.name: change.verdict for change in comparison.changes} == dict.fromkeys(FILES, "slower")


def test_a_single_file_is_compared_by_its_latency():
    old, new = (made.model_copy(update={"files": made.files[:1]}) for made in (result(1), result(2, base=1.2)))
    assert verdicts(old, new) == {"base.tflite": "slower"}


def test_a_file_that_fails_now_is_said():
    new = result(2)
    dead = new.files[1].model_copy(update={"figures": None, "status": "failed", "reason": "killed"})
    comparison = compare(result(1), new.model_copy(update={"files": [new.files[0], dead]}))
    assert comparison.failed == {"other.tflite": "killed"}
    assert comparison.only_old == []


def test_accuracies_on_other_photos_are_not_compared():
    new = result(2).model_copy(update={"photos": "others"})
    assert [change.accuracy for change in compare(result(1), new).changes] == [None]


def test_shift_of_samples_that_do_not_pair():
    moved = shift([1.0, 1.01, 0.99, 1.0, 1.02, 0.98], [1.1, 1.11, 1.09, 1.1, 1.12, 1.08, 1.1])
    assert moved.median == pytest.approx(1.1, abs=0.01)
    assert 1.05 < moved.low <= moved.median <= moved.high < 1.15
    assert shift([1.0] * 5, [1.0] * 9).low is None


def test_the_command_says_slower_and_fails(tmp_path: Path):
    for name, made in (("old", result(1)), ("new", result(2, other=1.2))):
        (tmp_path / f"{name}.json").write_text(made.model_dump_json())
    done = pmsi_bench("--compare", tmp_path / "old.json", tmp_path / "new.json")
    assert done.code == 1
    assert "other.tflite: slower, 1.19" in done.out
    assert done.err == "error: slower than before: other.tflite\n"
    plain = pmsi_bench("--compare", tmp_path / "old.json", tmp_path / "new.json", "--json")
    assert json.loads(plain.out)["changes"][0]["verdict"] == "slower"


def test_what_is_no_result_is_one_line(tmp_path: Path):
    (tmp_path / "old.json").write_text('{"schema_version": 1}')
    done = pmsi_bench("--compare", tmp_path / "old.json", tmp_path / "none.json")
    assert done.code == 2
    assert "old.json is not a result of this version of pmsi-bench" in done.err
    assert done.err.count("\n") == 1
