"""The parent's side of a worker process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


class WorkerFailed(Exception):
    """A worker could not load its file, or died. `not_runnable`: its runtime does not exist on this system."""

    def __init__(self, reason: str, not_runnable: bool = False) -> None:
        super().__init__(reason)
        self.not_runnable = not_runnable


@dataclass(frozen=True)
class Worker:
    """A process that holds one loaded model and works only when asked."""

    process: subprocess.Popen[str]
    chatter: IO[bytes]
    load_ms: float
    first_inference_ms: float

    def run(self, inferences: int) -> list[int]:
        """Latencies in nanoseconds. Raises WorkerFailed when the process has died."""
        latencies: list[int] = _ask(self.process, self.chatter, f"run {inferences}")["latencies_ns"]
        return latencies


@contextmanager
def open_worker(model: Path, threads: int, side: int) -> Iterator[Worker]:
    """Load `model` in a process of its own, for images of `side` x `side` pixels; it ends with the context.

    Raises WorkerFailed when the file cannot be loaded or run.
    """
    count = str(threads)
    # What torch and its libraries read before any of our code could tell them.
    environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    # -P: a file in the current folder must not pass for a module.
    command = [sys.executable, "-P", "-m", "pmsi_bench.worker", str(model), "--threads", count, "--side", str(side)]
    with tempfile.TemporaryFile() as chatter:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=chatter, env=environment, encoding="utf-8"
        )
        try:
            ready = _answer(process, chatter)
            yield Worker(process, chatter, ready["load_ms"], ready["first_inference_ms"])
        finally:
            # It has nothing to save, and a runtime may hang on its way out.
            process.kill()
            process.communicate()


def _ask(process: subprocess.Popen[str], chatter: IO[bytes], command: str) -> dict[str, Any]:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{command}\n")
        process.stdin.flush()
    except BrokenPipeError:
        raise WorkerFailed(_last_words(process, chatter)) from None
    return _answer(process, chatter)


def _answer(process: subprocess.Popen[str], chatter: IO[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.endswith("\n"):
        raise WorkerFailed(_last_words(process, chatter))
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise WorkerFailed(answer["error"], answer["not_runnable"])
    return answer


def _last_words(process: subprocess.Popen[str], chatter: IO[bytes]) -> str:
    """Why a process ended: its signal or exit code, and the last line that it wrote to stderr."""
    code = process.wait()
    chatter.seek(0)
    lines = [line.strip() for line in chatter.read().decode(errors="replace").splitlines() if line.strip()]
    end = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"its process ended ({end}): {lines[-1][:300]}" if lines else f"its process ended ({end})"
