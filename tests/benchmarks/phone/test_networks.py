"""Rows of several networks on one phone."""

from pathlib import Path

from pmsi_bench.phone.burst import Burst, Job
from pmsi_bench.phone.session import Outcome
from pmsi_bench.results.phone_result import DeviceResult, device_rows
from pmsi_bench.results.phone_verdict import choices, verdict
from tests.benchmarks.conftest import SIDE, contract_of
from tests.benchmarks.phone.workbench import pretended_result


def burst(milliseconds: float) -> Burst:
    known = dict.fromkeys(("mean_ms", "median_ms", "min_ms", "max_ms"), milliseconds)
    rest = dict.fromkeys(("load_ms", "first_inference_ms", "stdev_ms", "p95_ms", "latencies_ns", "note"))
    return Burst(inferences=5, throttled=False, **known, **rest)


def measured(folder: Path) -> DeviceResult:
    """Files a and b of one checkpoint, 20 and 30 ms, and the much faster c of another one."""
    jobs, outcomes = [], []
    for name, digit, milliseconds in (("a", "1", 20.0), ("c", "2", 1.0), ("b", "1", 30.0)):
        model = folder / f"{name}.onnx"
        model.touch()
        contract = contract_of(model).model_copy(update={"checkpoint_sha256": digit * 64})
        jobs.append(Job(model, contract, None, "cpu"))
        outcomes.append(Outcome(rounds=[burst(milliseconds)] * 6, parity=contract.parity))
    rows, networks = device_rows(jobs, outcomes, 6)
    return pretended_result(rows=rows, networks=networks, baseline=rows[0].title)


def test_each_network_has_its_sentence_and_its_ratios(tmp_path: Path):
    result = measured(tmp_path)
    assert [row.network for row in result.rows] == [0, 1, 0]
    assert [network.baseline for network in result.networks] == ["a.onnx, cpu", "c.onnx, cpu"]
    assert [row.figures.ratio.median for row in result.rows] == [1, 1, 1.5]
    assert [row.name for row in choices(result)] == ["a.onnx", "c.onnx"]
    head, first, second = verdict(result)
    assert head == "These are files of 2 different networks, which are not compared with each other."
    assert first.startswith(f"Network 1 (checkpoint 11111111, 3 classes, {SIDE} px): a.onnx, cpu has the smallest")
    assert "Next is b.onnx, cpu" in first
    assert second.startswith(f"Network 2 (checkpoint 22222222, 3 classes, {SIDE} px): c.onnx, cpu is the only one")


def test_the_sentence_says_which_clocks(tmp_path: Path):
    result = measured(tmp_path)
    for fixed, words in (
        (True, "in fixed-performance mode, which holds the clocks below their maximum"),
        (False, "with the clocks left to the phone"),
    ):
        _, first, _ = verdict(result.model_copy(update={"fixed_performance": fixed}))
        assert f"median 20.00 ms on Pretended Pixel Test with 1 thread {words}." in first
