"""The parent's side of a worker process."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any

from pmsi_bench.subjects.subject import Job

PATIENCE_SECONDS = 600.0
"""For one answer; a compiler may be at work."""
_END_SECONDS = 15.0


class WorkerFailed(Exception):
    """A worker could not load its file, or died. `not_runnable`: its runtime does not exist on this system."""

    def __init__(self, reason: str, not_runnable: bool = False) -> None:
        super().__init__(reason)
        self.not_runnable = not_runnable


@dataclass(frozen=True)
class Worker:
    """A process that holds one loaded model and works only when asked.

    memory_bytes: by how much the process grew until its first inference was done; None where the system does not tell.
    Every method raises WorkerFailed when the process has died.
    """

    process: subprocess.Popen[str]
    chatter: IO[bytes]
    load_ms: float
    first_inference_ms: float
    memory_bytes: int | None

    def run(self, inferences: int) -> list[int]:
        """Latencies in nanoseconds."""
        latencies: list[int] = self._ask(f"run {inferences}")["latencies_ns"]
        return latencies

    def round(self, inferences: int) -> tuple[list[int], float]:
        """Latencies in nanoseconds after the file has been opened anew, and the milliseconds that opening took."""
        answer = self._ask(f"round {inferences}")
        return answer["latencies_ns"], answer["load_ms"]

    def classify(self, images: Path) -> list[int]:
        """The most likely class of each image in a .npy file, uint8 [N, side, side, 3]."""
        classes: list[int] = self._ask(f"classify {images}")["classes"]
        return classes

    def describe(self) -> dict[str, Any]:
        """`pmsi_export.checks.inspect.Diagnosis` of the file as a dictionary."""
        return self._ask("describe")

    def _ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{command}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(_last_words(self.process, self.chatter)) from None
        return _answer(self.process, self.chatter)


@contextmanager
def open_worker(job: Job) -> Iterator[Worker]:
    """Load the job's model in a process of its own; it ends with the context.

    Raises WorkerFailed when the file cannot be loaded or run.
    """
    count = str(job.threads)
    # What torch and its libraries read before any of our code could tell them.
    environment = {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    # -P: a file in the current folder must not pass for a module.
    command = [
        sys.executable,
        "-P",
        "-m",
        "pmsi_bench.host.web_worker" if job.web_runtime else "pmsi_bench.host.worker",
        str(job.model),
        "--threads",
        count,
        "--side",
        str(job.side),
    ]
    if job.compiled:
        command.append("--compiled")
    if job.web_runtime:
        command += ["--web-runtime", str(job.web_runtime)]
    with tempfile.TemporaryFile() as chatter:
        process = None
        try:
            with _interrupted_later():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=chatter,
                    env=environment,
                    encoding="utf-8",
                )
            ready = _answer(process, chatter)
            yield Worker(process, chatter, ready["load_ms"], ready["first_inference_ms"], ready["memory_bytes"])
        finally:
            if process:
                # It has nothing to save, and a runtime may hang on its way out; but a browser is to be ended.
                if job.web_runtime:
                    _end(process)
                process.kill()
                process.communicate()


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, subprocess.TimeoutExpired):
        process.stdin.write("quit\n")
        process.stdin.flush()
        process.wait(_END_SECONDS)


@contextmanager
def _interrupted_later() -> Iterator[None]:
    """Ctrl-C waits until the block is over: in the midst of it a process would be left that nobody knows."""
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def _answer(process: subprocess.Popen[str], chatter: IO[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    watch = Timer(PATIENCE_SECONDS, process.kill)
    # After Ctrl-C nothing waits for it.
    watch.daemon = True
    watch.start()
    line = process.stdout.readline()
    patient = watch.is_alive()
    watch.cancel()
    if not patient:
        raise WorkerFailed(f"it gave no answer for {PATIENCE_SECONDS / 60:g} minutes")
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
