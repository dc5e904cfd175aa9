"""Workers and rounds, with real processes."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pmsi_bench.host import process as client
from pmsi_bench.host.process import WorkerFailed, open_worker
from pmsi_bench.host.rounds import (
    LEAST_ROUNDS,
    MAX_INFERENCES,
    MIN_INFERENCES,
    NotMeasured,
    Timing,
    burst_size,
    measure,
)
from pmsi_bench.statistics import ratio, round_medians_ms
from pmsi_bench.subjects.order import rotated
from pmsi_bench.subjects.subject import Job
from tests.benchmarks.conftest import SIDE

MakeModel = Callable[[str], Path]


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def test_rotation_gives_every_file_every_place_equally_often():
    orders = [rotated(range(4), number) for number in range(8)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    for place in range(4):
        assert Counter(order[place] for order in orders) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_bursts_fill_their_time_within_bounds():
    assert burst_size(pace_ns=1e6, burst_seconds=0.2) == 200
    assert burst_size(pace_ns=1e9, burst_seconds=0.2) == MIN_INFERENCES
    assert burst_size(pace_ns=1e3, burst_seconds=0.2) == MAX_INFERENCES


def test_worker_answers_and_uses_the_threads_it_is_given(onnx_model: MakeModel, monkeypatch: pytest.MonkeyPatch):
    # NumPy's library makes threads too, which never work here.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    threads = {}
    for count in (1, 3):
        with open_worker(Job(onnx_model("tiny.onnx"), SIDE, count)) as worker:
            latencies = worker.run(7)
            assert len(latencies) == 7
            assert all(isinstance(each, int) and each > 0 for each in latencies)
            assert worker.load_ms > 0
            assert worker.first_inference_ms > 0
            latencies, load_ms = worker.round(5)
            assert len(latencies) == 5
            assert load_ms > 0
            process = psutil.Process(worker.process.pid)
            threads[count] = process.num_threads()
        assert not process.is_running()
    assert threads[3] - threads[1] == 2


def test_unreadable_file_says_why(tmp_path: Path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(WorkerFailed, match=r"(?i)broken\.onnx|protobuf") as failure, open_worker(Job(broken, SIDE)):
        pass
    assert not failure.value.not_runnable


@pytest.mark.usefixtures("misbehaving_runtime")
def test_crash_in_mid_run_is_one_row_and_chatter_does_not_reach_the_answers(onnx_model: MakeModel):
    jobs = [Job(onnx_model(name), SIDE) for name in ("crash.onnx", "good.onnx")]
    crashed, good = measure(jobs, rounds=3, progress=quiet).outcomes
    assert isinstance(crashed, NotMeasured)
    assert "SIGABRT" in crashed.reason
    assert "out of cheese" in crashed.reason
    assert not crashed.not_runnable
    assert isinstance(good, Timing)
    assert len(good.rounds) == 3


@pytest.mark.usefixtures("misbehaving_runtime")
def test_a_runtime_that_hangs_is_given_up(onnx_model: MakeModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 3.0)
    [outcome] = measure([Job(onnx_model("hang.onnx"), SIDE)], rounds=1, progress=quiet).outcomes
    assert outcome == NotMeasured("it gave no answer for 0.05 minutes", not_runnable=False)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs there")
def test_the_latency_of_core_ml_is_not_that_of_its_stand_in(tmp_path: Path):
    package = tmp_path / "model.mlpackage"
    package.mkdir()
    [outcome] = measure([Job(package, SIDE)], rounds=1, progress=quiet).outcomes
    reason = "Core ML does not exist on this system, and the MIL evaluator gives no latencies"
    assert outcome == NotMeasured(reason, not_runnable=True)


def test_no_round_begins_after_the_time_limit(onnx_model: MakeModel):
    measurement = measure([Job(onnx_model("tiny.onnx"), SIDE)], rounds=50, seconds=0.01, progress=quiet)
    [outcome] = measurement.outcomes
    assert measurement.stopped == "time"
    assert isinstance(outcome, Timing)
    assert [len(burst) for burst in outcome.rounds] == [MIN_INFERENCES]


def test_rounds_end_when_every_interval_is_narrow_enough(onnx_model: MakeModel):
    model = onnx_model("tiny.onnx")
    measurement = measure([Job(model, SIDE), Job(model, SIDE)], rounds=50, width=1000, progress=quiet)
    assert measurement.stopped == "interval"
    for outcome in measurement.outcomes:
        assert isinstance(outcome, Timing)
        assert len(outcome.rounds) == LEAST_ROUNDS
        assert len(outcome.load_ms) == 1 + LEAST_ROUNDS


@pytest.mark.usefixtures("misbehaving_runtime")
def test_a_tenth_more_is_found_and_no_difference_is_not(onnx_model: MakeModel):
    names = ("steady.onnx", "steady-too.onnx", "slowed.onnx")
    jobs = [Job(onnx_model(name), SIDE) for name in names]
    timings = measure(jobs, rounds=12, progress=quiet).outcomes
    base, same, slowed = (round_medians_ms(timing.rounds) for timing in timings if isinstance(timing, Timing))
    alike, longer = ratio(same, base), ratio(slowed, base)
    assert alike.low < 1.02
    assert alike.high > 0.98
    assert longer.low > 1.05
    assert longer.median == pytest.approx(1.1, abs=0.03)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_memory_is_counted_above_the_idle_runtime(onnx_model: MakeModel):
    with open_worker(Job(onnx_model("tiny.onnx"), SIDE)) as worker:
        everything = psutil.Process(worker.process.pid).memory_info().rss
        assert 0 < worker.memory_bytes < everything / 2
