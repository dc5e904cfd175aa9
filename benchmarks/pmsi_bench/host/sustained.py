"""Latency under load that does not end: whether and when a machine slows itself down."""

import time
from collections.abc import Callable
from statistics import median

from pydantic import BaseModel, ConfigDict

from pmsi_bench.host.process import WorkerFailed, open_worker
from pmsi_bench.subjects.subject import Job

WINDOW_SECONDS = 1.0


class Window(BaseModel):
    """A second of inferences without a pause. seconds: since the first of them, at the end of the window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float
    median_ms: float
    inferences: int


def sustain(job: Job, minutes: float, progress: Callable[[float], None]) -> tuple[list[Window], str | None]:
    """Run a file for so many minutes without a pause; when its process dies, what it gave until then, and why it died.

    progress: called with the seconds since the start.
    """
    windows: list[Window] = []
    problem = None
    try:
        with open_worker(job) as worker:
            pace = median(worker.run(3))
            started = time.monotonic()
            while (elapsed := time.monotonic() - started) < 60 * minutes:
                progress(elapsed)
                latencies = worker.run(max(1, round(WINDOW_SECONDS * 1e9 / pace)))
                pace = median(latencies)
                windows.append(
                    Window(seconds=time.monotonic() - started, median_ms=pace / 1e6, inferences=len(latencies))
                )
    except WorkerFailed as failure:
        problem = str(failure)
    return windows, problem


def slow_down(windows: list[Window]) -> float | None:
    """How many times as long an inference took in the last fifth as in the first; None below ten windows."""
    if len(windows) < 10:
        return None
    fifth = len(windows) // 5
    first, last = (median(window.median_ms for window in part) for part in (windows[:fifth], windows[-fifth:]))
    return last / first
