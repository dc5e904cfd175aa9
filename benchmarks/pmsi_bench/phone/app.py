"""Running model files in the demo app's benchmark, started over adb."""

import re
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pmsi_bench.phone.adb import DeviceLost, NoAnswer, Phone
from pmsi_bench.phone.app_result import AppResult, parse_app_result
from pmsi_bench.phone.burst import Burst, Inspection, Job
from pmsi_bench.phone.folder import own_folder
from pmsi_bench.phone.golden_check import judge_golden
from pmsi_export.checks.gates import not_measured
from pmsi_export.contract.schema import Parity
from pmsi_export.runtime.runner import NotRunnable
from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.files import sha256

PACKAGE = "org.pmsi.mobile.demo"
_FILES = f"/sdcard/Android/data/{PACKAGE}/files"
_MODELS = f"{_FILES}/models/pmsi-bench-"
"""How the names of files begin that a benchmark brings there, and removes."""
_RESULT = "pmsi-bench.json"
_RUNTIMES = {"tflite": "litert", "onnx": "onnxruntime", "executorch": "executorch"}
_WARM_UP = 10
_CRASH = re.compile(r"Abort message.*|[\w.]+(?:Error|Exception)\b.*")
_SIGNAL = re.compile(r"signal \d+ \(SIG.*")
SECONDS = 300.0
"""As long as one benchmark of the app may take."""
POLL_SECONDS = 2.0
"""Seldom: looking disturbs what is timed."""
_START_SECONDS = 120.0
_FOLDER_SECONDS = 30.0


@dataclass(frozen=True)
class AppRunner:
    """The demo app on one phone. folder: of our own there."""

    phone: Phone
    folder: str
    threads: int
    runs: int

    def prepare(self, job: Job) -> None:
        if job.contract.format not in _RUNTIMES:
            raise NotRunnable(job.model, f"the demo app has no runtime for {job.model.suffix}")
        path = f"{_FILES}/models/{_name(job)}"
        if self.phone.shell(f"ls {path}").code:
            self._bring(job.model, path)
            # The app takes those that belong to the model.
            for golden in job.model.parent.glob("*.golden.zip"):
                self._bring(golden, f"{_MODELS}{sha256(golden)[:16]}.golden.zip")

    def _bring(self, file: Path, path: str) -> None:
        """By way of our own folder: in an app's, adb cannot change a file's owner, and on Android 11 fails for that."""
        staged = f"{self.folder}/{path.rpartition('/')[2]}"
        self.phone.push(file.read_bytes(), staged)
        self.phone.move(staged, path)

    def burst(self, job: Job) -> Burst:
        result = self._run(job, self.runs, _WARM_UP)
        latencies = result.latencies_ns
        if not latencies:
            raise MeasurementError("the app's result has no latencies: install the app of this version")
        milliseconds = np.asarray(latencies) / 1e6
        return Burst(
            inferences=len(latencies),
            load_ms=result.load_ms,
            first_inference_ms=result.first_inference_ms,
            mean_ms=float(milliseconds.mean()),
            median_ms=float(np.median(milliseconds)),
            min_ms=float(milliseconds.min()),
            max_ms=float(milliseconds.max()),
            stdev_ms=float(milliseconds.std()),
            p95_ms=float(np.percentile(milliseconds, 95)),
            latencies_ns=latencies,
            note=_note(job),
            throttled=bool(result.thermal_status_before or result.thermal_status_after),
        )

    def parity(self, job: Job) -> Parity:
        rows = self._run(job, 1, 0).golden
        if rows is None:
            return not_measured(job.contract.precision, f"the app found no golden samples for {job.model.name}")
        outputs = iter(rows)
        runtime = f"the demo app on {self.phone.serial}, {job.delegate}"
        return judge_golden(job, lambda _: np.asarray(next(outputs, []), np.float32), runtime)

    def inspect(self, job: Job) -> Inspection:
        memory = self._run(job, 1, 0).memory
        return Inspection(peak_memory_mb=memory.rss_peak_bytes / 2**20 if memory and memory.rss_peak_bytes else None)

    def _run(self, job: Job, runs: int, warm_up: int) -> AppResult:
        """One start of the app, from nothing to its result."""
        path = f"{_FILES}/results/{_RESULT}"
        extras = [
            *("--es", "model", _name(job)),
            *("--es", "runtime", _RUNTIMES[job.contract.format]),
            *("--es", "delegate", _delegate(job)),
            *("--ei", "threads", str(self.threads)),
            *("--ei", "warmup", str(warm_up)),
            *("--ei", "runs", str(runs)),
            *("--es", "result", _RESULT),
        ]
        self.phone.shell(f"am force-stop {PACKAGE}")
        self.phone.shell(f"rm -f {path}")
        self.phone.shell("logcat -b crash -c")
        command = shlex.join(["am", "start", "-W", "-n", f"{PACKAGE}/.BenchmarkActivity", *extras])
        try:
            started = self.phone.shell(command, _START_SECONDS)
        except NoAnswer:
            raise MeasurementError(
                f"the app's benchmark did not come up within {_START_SECONDS:g} s: unlock the phone"
            ) from None
        if started.code or "Error" in started.output:
            raise MeasurementError(f"the app's benchmark cannot be started: {started.output.strip().splitlines()[-1]}")
        self._wait_for(path)
        try:
            result = parse_app_result(self.phone.read(path))
        except MeasurementError as error:
            # The app knows the file by the name that it was brought under.
            raise MeasurementError(str(error).replace(_name(job), job.model.name)) from None
        _check_delegate(job, result)
        if result.model_sha256 != sha256(job.model):
            raise MeasurementError("the app measured another file than the one that was brought to it")
        return result

    def _wait_for(self, path: str) -> None:
        limit = time.monotonic() + SECONDS
        while self.phone.shell(f"ls {path}").code:
            if time.monotonic() > limit:
                raise MeasurementError(f"the app gave no result within {SECONDS:g} s: try fewer --runs")
            # It may end just after it has written the result.
            if self.phone.shell(f"pidof {PACKAGE} || ls {path}").code:
                raise MeasurementError(f"the app crashed: {self._crash()}")
            time.sleep(POLL_SECONDS)

    def _crash(self) -> str:
        """Of an exception, or of native code: the message of what it aborted with, or else the signal."""
        log = self.phone.shell("logcat -d -b crash -t 300").output
        start = max(log.rfind(f"Process: {PACKAGE}"), log.rfind(f">>> {PACKAGE} <<<"))
        own = log[start:] if start >= 0 else ""
        found = _CRASH.search(own) or _SIGNAL.search(own)
        return found[0] if found else "adb logcat -b crash may say why, or it was killed for want of memory"


@contextmanager
def app_runner(phone: Phone, say: Callable[[str], None], *, threads: int, runs: int) -> "Iterator[AppRunner]":
    """The app, ready for benchmarks; ended at the end, and what was brought to it removed.

    Raises PmsiError where it is not on the phone.
    """
    if phone.shell(f"pm path {PACKAGE}").code:
        raise PmsiError(f"the demo app is not on {phone.serial}: build it (android_demo) and adb install it")
    with own_folder(phone, say) as folder:
        try:
            _have_folders_made(phone)
            yield AppRunner(phone, folder, threads, runs)
        finally:
            try:
                phone.shell(f"am force-stop {PACKAGE}")
                phone.shell(f"rm -f {_MODELS}* {_FILES}/results/{_RESULT}")
            except DeviceLost:
                say(f"{_MODELS}* may still be on {phone.serial}: the next run removes it")


def _have_folders_made(phone: Phone) -> None:
    """Start the app once where it never ran: folders that adb makes in its place would not be the app's own."""
    models, denied = f"{_FILES}/models", "ermission denied"
    seen = phone.shell(f"ls {models}")
    if seen.code and denied not in seen.output:
        phone.shell(f"am start -W -n {PACKAGE}/.MainActivity", _START_SECONDS)
        limit = time.monotonic() + _FOLDER_SECONDS
        while (seen := phone.shell(f"ls {models}")).code and time.monotonic() < limit:
            time.sleep(POLL_SECONDS)
    if denied in seen.output:
        raise MeasurementError(f"{phone.serial} does not let adb into {models}: use --runner benchmark_model there")
    if seen.code:
        raise MeasurementError(f"the demo app makes no folder {models}: start it once by hand")


def _delegate(job: Job) -> str:
    """What the app calls it: ExecuTorch has XNNPACK inside and nothing else on the CPU."""
    return "xnnpack" if (job.contract.format, job.delegate) == ("executorch", "cpu") else job.delegate


def _check_delegate(job: Job, result: AppResult) -> None:
    """The app goes on where a delegate takes no file: the figures would be the CPU's. Raises MeasurementError."""
    if result.delegate != _delegate(job):
        raise MeasurementError(f"the app fell back: {result.delegate_note or f'it ran on {result.delegate}'}")


def _note(job: Job) -> str | None:
    if job.delegate == "cpu":
        return None
    return f"how much of the file {job.delegate} takes, the app's runtime does not tell"


def _name(job: Job) -> str:
    """What the file is called among the app's models: by its content, for two files may share a name."""
    return f"pmsi-bench-{sha256(job.model)[:16]}{job.model.suffix}"
