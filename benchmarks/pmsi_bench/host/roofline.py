"""How many multiply-accumulates a second this machine's cores can do while files are timed.

`python -m pmsi_bench.host.roofline` answers each line on stdin with the largest rate of float32 matrix products with
NumPy's library within SECONDS. A file's rate is compared with that of the same round: what other programs leave of the
machine is the same for both.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

SIDE = 1024
SECONDS = 0.1


class Peaks:
    """Rates of each round by number of threads; a number whose process has died is left out."""

    def __init__(self, processes: dict[int, subprocess.Popen[str]]) -> None:
        self._processes = processes
        self.rates: dict[int, list[float]] = {count: [] for count in processes}

    def measure(self) -> None:
        """Add a round."""
        for count in list(self.rates):
            rate = _ask(self._processes[count])
            if rate is None:
                del self.rates[count]
            else:
                self.rates[count].append(rate)


@contextmanager
def measured_peaks(threads: Sequence[int]) -> Iterator[Peaks]:
    """A process for each number of threads: libraries take theirs from the environment. They end with the context."""
    with ExitStack() as stack:
        processes = {}
        for count in threads:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pmsi_bench.host.roofline"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_environment(count)},
                encoding="utf-8",
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            processes[count] = process
        yield Peaks(processes)


def _environment(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    # Threads that have nothing to do must not spin while files are timed.
    return {**dict.fromkeys(names, str(threads)), "OPENBLAS_THREAD_TIMEOUT": "4", "KMP_BLOCKTIME": "0"}


def _ask(process: subprocess.Popen[str]) -> float | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    answer = process.stdout.readline()
    return float(answer) if answer.endswith("\n") else None


def _answer() -> None:
    import numpy as np

    random = np.random.default_rng(0)
    left, right = (random.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(left)
    np.matmul(left, right, out=out)
    for _ in sys.stdin:
        best, end = float("inf"), time.monotonic() + SECONDS
        while best == float("inf") or time.monotonic() < end:
            started = time.perf_counter()
            np.matmul(left, right, out=out)
            best = min(best, time.perf_counter() - started)
        print(SIDE**3 / best, flush=True)


if __name__ == "__main__":
    _answer()
