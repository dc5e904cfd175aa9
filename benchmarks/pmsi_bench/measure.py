"""Timing of several model files in interleaved rounds.

In every round each file runs one burst, in an order that rotates, and only one process works at any moment: what
changes slowly (clock, temperature, other load) hits all files alike and drops out of the ratios within a round.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from pmsi_bench.client import Worker, WorkerFailed, open_worker

WARM_UP_SECONDS = 0.3
BURST_SECONDS = 0.2
MIN_INFERENCES = 3
"""In a warm-up and in a burst, however slow the model."""
MAX_INFERENCES = 1000
"""In a burst, however fast the model."""


@dataclass(frozen=True)
class Job:
    """A model file and the side of its square input image, in pixels."""

    model: Path
    side: int


@dataclass(frozen=True)
class Timing:
    """What one file took. rounds: latencies in nanoseconds, burst by burst."""

    load_ms: float
    first_inference_ms: float
    rounds: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class NotMeasured:
    """Why a file has no timing. `not_runnable`: its runtime does not exist on this system, nothing is wrong with it."""

    reason: str
    not_runnable: bool


Outcome = Timing | NotMeasured


def measure(
    jobs: Sequence[Job],
    *,
    threads: int,
    rounds: int,
    seconds: float | None,
    progress: Callable[[int, int], None],
) -> list[Outcome]:
    """Time all files, each in its own process on `threads` threads; one outcome per job, in order.

    seconds: after this long no further round is begun, and bursts are shortened to fit; at least one round is run.
    progress: called with (steps done, steps), a step being a file loaded or a burst.
    A file that cannot be loaded, or whose process dies, is NotMeasured; the others go on.
    """
    started = time.monotonic()
    steps = len(jobs) * (1 + rounds)
    with ExitStack() as processes:
        states: list[_Running | NotMeasured] = []
        for job in jobs:
            states.append(_start(processes, job, threads))
            progress(len(states), steps)

        left = None if seconds is None else seconds - (time.monotonic() - started)
        burst_seconds = _burst_seconds(left, rounds * len(jobs))
        for number in range(rounds):
            if number and seconds is not None and time.monotonic() - started > seconds:
                break
            for turn, index in enumerate(rotated(range(len(jobs)), number), start=1):
                states[index] = _add_burst(states[index], burst_seconds)
                progress(len(jobs) * (1 + number) + turn, steps)

    return [
        state
        if isinstance(state, NotMeasured)
        else Timing(state.worker.load_ms, state.worker.first_inference_ms, state.rounds)
        for state in states
    ]


def rotated(items: Sequence[int], number: int) -> list[int]:
    """The order of round `number`: each round begins one further on."""
    start = number % len(items)
    return [*items[start:], *items[:start]]


def burst_size(pace_ns: float, burst_seconds: float) -> int:
    """How many inferences of `pace_ns` nanoseconds fill `burst_seconds`."""
    return min(max(round(burst_seconds * 1e9 / pace_ns), MIN_INFERENCES), MAX_INFERENCES)


@dataclass(frozen=True)
class _Running:
    """A loaded file with the bursts that it has run so far. pace_ns: about how long an inference takes."""

    worker: Worker
    pace_ns: float
    rounds: tuple[tuple[int, ...], ...] = ()


def _start(processes: ExitStack, job: Job, threads: int) -> _Running | NotMeasured:
    try:
        worker = processes.enter_context(open_worker(job.model, threads, job.side))
        return _Running(worker, median(_warm_up(worker)))
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
        # One more than is kept: the first inference finds the caches as another process left them, which depends on
        # who went before.
        latencies = state.worker.run(burst_size(state.pace_ns, seconds) + 1)[1:]
    except WorkerFailed as failure:
        return NotMeasured(str(failure), failure.not_runnable)
    return replace(state, rounds=(*state.rounds, tuple(latencies)))


def _burst_seconds(left: float | None, bursts: int) -> float:
    return BURST_SECONDS if left is None else min(BURST_SECONDS, max(left, 0) / bursts)
