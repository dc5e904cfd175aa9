"""Timing of several model files in interleaved rounds.

In every round each file is opened anew and runs one burst, in an order that rotates, and only one process works at any
moment: what changes slowly (clock, temperature, other load) hits all files alike and drops out of the ratios within a
round, and where a file's memory comes to lie is drawn anew in each.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from pmsi_bench.host.process import Worker, WorkerFailed, open_worker
from pmsi_bench.statistics import ratio, round_medians_ms
from pmsi_bench.subjects.order import rotated
from pmsi_bench.subjects.subject import Job

WARM_UP_SECONDS = 0.3
BURST_SECONDS = 0.2
MIN_INFERENCES = 3
"""In a warm-up and in a burst, however slow the model."""
MAX_INFERENCES = 1000
"""In a burst, however fast the model."""
LEAST_ROUNDS = 10
"""Before the width of the intervals can end the timing."""


@dataclass(frozen=True)
class Timing:
    """What one file took. load_ms: of every time that it was opened. rounds: latencies in nanoseconds, burst by burst.

    memory_bytes: by how much its process grew until the first inference was done; None where the system does not tell.
    """

    load_ms: tuple[float, ...]
    first_inference_ms: float
    memory_bytes: int | None
    rounds: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class NotMeasured:
    """Why a file has no timing. `not_runnable`: its runtime does not exist on this system, nothing is wrong with it."""

    reason: str
    not_runnable: bool


Outcome = Timing | NotMeasured


@dataclass(frozen=True)
class Measurement:
    """One outcome per job, in order, and what ended the timing."""

    outcomes: list[Outcome]
    stopped: Literal["interval", "rounds", "time"]


def measure(
    jobs: Sequence[Job],
    *,
    rounds: int,
    progress: Callable[[int, int], None],
    width: float | None = None,
    seconds: float | None = None,
    baseline: int = 0,
    functions: Sequence[Hashable] | None = None,
    beside: Callable[[], None] = lambda: None,
) -> Measurement:
    """Time all jobs, each in its own process.

    rounds: at most so many. functions: what the jobs compute, the same by default; those of one function are compared.
    width: no further round is begun once the interval of every ratio to the job at index `baseline` (or the first of
    the function that could be measured) is at most this part of the ratio, after LEAST_ROUNDS at the earliest.
    seconds: after this long no further round is begun, and bursts are shortened to fit; at least one round is run.
    progress: called with (steps done, steps), a step being a file loaded or a burst. beside: called at the beginning
    of each round.
    A file that cannot be loaded, or whose process dies, is NotMeasured; the others go on.
    """
    started = time.monotonic()
    steps = len(jobs) * (1 + rounds)
    stopped: Literal["interval", "rounds", "time"] = "rounds"
    with ExitStack() as processes:
        states: list[_Running | NotMeasured] = []
        for job in jobs:
            states.append(_start(processes, job))
            progress(len(states), steps)

        left = None if seconds is None else seconds - (time.monotonic() - started)
        burst_seconds = _burst_seconds(left, rounds * len(jobs))
        for number in range(rounds):
            if number and seconds is not None and time.monotonic() - started > seconds:
                stopped = "time"
                break
            if width is not None and number >= LEAST_ROUNDS and _narrow(states, baseline, functions, width):
                stopped = "interval"
                break
            beside()
            for turn, index in enumerate(rotated(range(len(jobs)), number), start=1):
                states[index] = _add_burst(states[index], burst_seconds)
                progress(len(jobs) * (1 + number) + turn, steps)

    return Measurement([state if isinstance(state, NotMeasured) else state.timing for state in states], stopped)


def burst_size(pace_ns: float, burst_seconds: float) -> int:
    """How many inferences of `pace_ns` nanoseconds fill `burst_seconds`."""
    return min(max(round(burst_seconds * 1e9 / pace_ns), MIN_INFERENCES), MAX_INFERENCES)


@dataclass(frozen=True)
class _Running:
    """A loaded file with the bursts that it has run so far. pace_ns: about how long an inference takes."""

    worker: Worker
    pace_ns: float
    timing: Timing


def _start(processes: ExitStack, job: Job) -> _Running | NotMeasured:
    try:
        worker = processes.enter_context(open_worker(job))
        timing = Timing((worker.load_ms,), worker.first_inference_ms, worker.memory_bytes, ())
        return _Running(worker, median(_warm_up(worker)), timing)
    except WorkerFailed as failure:
        return NotMeasured(str(failure), failure.not_runnable)


def _warm_up(worker: Worker) -> list[int]:
    started = time.monotonic()
    latencies: list[int] = []
    while len(latencies) < MIN_INFERENCES or time.monotonic() - started < WARM_UP_SECONDS:
        latencies += worker.run(1)
    return latencies


def _add_burst(state: _Running | NotMeasured, seconds: float) -> _Running | NotMeasured:
    if isinstance(state, NotMeasured):
        return state
    try:
        latencies, load_ms = state.worker.round(burst_size(state.pace_ns, seconds))
    except WorkerFailed as failure:
        return NotMeasured(str(failure), failure.not_runnable)
    timing = state.timing
    return replace(
        state,
        timing=replace(timing, load_ms=(*timing.load_ms, load_ms), rounds=(*timing.rounds, tuple(latencies))),
    )


def _narrow(
    states: Sequence[_Running | NotMeasured], baseline: int, functions: Sequence[Hashable] | None, width: float
) -> bool:
    """Whether every ratio to the baseline of its function has an interval of at most `width` times the ratio."""
    kinds = functions or [None] * len(states)
    rounds = {
        index: round_medians_ms(state.timing.rounds)
        for index, state in enumerate(states)
        if isinstance(state, _Running)
    }
    for kind in set(kinds):
        alike = [index for index in rounds if kinds[index] == kind]
        for index in alike:
            compared = ratio(rounds[index], rounds[baseline if baseline in alike else alike[0]])
            if compared.low is None or compared.high is None or compared.high - compared.low > width * compared.median:
                return False
    return True


def _burst_seconds(left: float | None, bursts: int) -> float:
    return BURST_SECONDS if left is None else min(BURST_SECONDS, max(left, 0) / bursts)
