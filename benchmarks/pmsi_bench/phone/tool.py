"""Running .tflite files with `benchmark_model` in the phone's shell."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from pmsi_bench.phone.adb import DeviceLost, NoAnswer, Phone, TransferFailed
from pmsi_bench.phone.burst import Burst, Inspection, Job
from pmsi_bench.phone.folder import end_programs, own_folder
from pmsi_bench.phone.golden_check import judge_golden
from pmsi_bench.phone.output import ToolOutput, parse_output
from pmsi_bench.phone.profile import parse_profile
from pmsi_export.checks.gates import not_measured
from pmsi_export.contract.schema import Parity
from pmsi_export.runtime.runner import Image, NotRunnable, Probabilities, nhwc
from pmsi_mobile.errors import MeasurementError
from pmsi_mobile.files import sha256

_DELEGATES = {"cpu": "--use_xnnpack=true", "gpu": "--use_gpu=true", "nnapi": "--use_nnapi=true"}
_WARM_UP = ("--warmup_runs=5", "--warmup_min_secs=0.5")
_NO_WARM_UP = ("--min_secs=0", "--warmup_runs=0", "--warmup_min_secs=0")
_PROFILED_RUNS = 10
SECONDS = 300.0
"""As long as one run of the program may take."""
_DEATHS = {134: "it aborted", 135: "bus error", 137: "killed, mostly for want of memory", 139: "segmentation fault"}


@dataclass(frozen=True)
class ToolRunner:
    """benchmark_model on one phone.

    folder: on the phone, with the program in it. mask: of the cores that it may use, hexadecimal.
    """

    phone: Phone
    folder: str
    threads: int
    runs: int
    mask: str | None

    def prepare(self, job: Job) -> None:
        if job.contract.format != "tflite":
            raise NotRunnable(job.model, f"benchmark_model runs .tflite only, --runner app runs {job.model.suffix} too")
        path = self._on_phone(job)
        if self.phone.shell(f"ls {path}").code:
            self.phone.push(job.model.read_bytes(), path)

    def burst(self, job: Job) -> Burst:
        output = self._run(job, f"--num_runs={self.runs}", "--min_secs=0", *_WARM_UP)
        runs = output.runs
        if runs is None or output.mean_us is None:
            raise MeasurementError("benchmark_model ended without figures: try a newer build of it")
        return Burst(
            inferences=runs.count,
            load_ms=_ms(output.init_us),
            first_inference_ms=_ms(output.first_inference_us),
            mean_ms=output.mean_us / 1e3,
            median_ms=_ms(runs.median_us),
            min_ms=_ms(runs.min_us),
            max_ms=_ms(runs.max_us),
            stdev_ms=_ms(runs.stdev_us),
            p95_ms=_ms(runs.percentiles.get(95)),
            latencies_ns=None,
            note=_note(output),
            throttled=False,
        )

    def parity(self, job: Job) -> Parity:
        if job.contract.output.second:
            return not_measured(job.contract.precision, "benchmark_model writes a file's two outputs without names")
        # A name for each run: a program that writes nothing must not leave the last one's output to be read.
        names = (f"{self.folder}/output-{job.delegate}-{number}.bin" for number in count())
        self.phone.shell(f"rm -f {self.folder}/output-*")

        def probabilities(image: Image) -> Probabilities:
            result = next(names)
            native = nhwc(image, np.dtype(job.contract.input.dtype).type)
            self.phone.push(native.tobytes(), f"{self.folder}/input.bin")
            shape = ",".join(str(side) for side in native.shape)
            output = self._run(
                job,
                "--num_runs=1",
                *_NO_WARM_UP,
                "--input_layer=image",
                f"--input_layer_shape={shape}",
                f"--input_layer_value_files=image:{self.folder}/input.bin",
                f"--output_filepath={result}",
            )
            if any("input_layer" in flag for flag in output.unknown_flags):
                raise MeasurementError("this benchmark_model takes no inputs: pass TensorFlow Lite's, not LiteRT's")
            if any("output_filepath" in flag for flag in output.unknown_flags):
                raise _NoOutputs
            try:
                return np.frombuffer(self.phone.read(result), np.float32)
            except TransferFailed:
                raise _NoOutputs from None

        try:
            return judge_golden(job, probabilities, f"benchmark_model on {self.phone.serial}, {job.delegate}")
        except _NoOutputs:
            return not_measured(
                job.contract.precision, "this build of benchmark_model writes no outputs: take a newer one"
            )

    def inspect(self, job: Job) -> Inspection:
        path = f"{self.folder}/profile.csv"
        self.phone.shell(f"rm -f {path}")
        output = self._run(
            job,
            f"--num_runs={_PROFILED_RUNS}",
            *_NO_WARM_UP,
            "--report_peak_memory_footprint=true",
            "--enable_op_profiling=true",
            f"--profiling_output_csv_file={path}",
        )
        try:
            profile = self.phone.read(path).decode(errors="replace")
        except TransferFailed:
            profile = ""
        return Inspection(operators=parse_profile(profile), peak_memory_mb=output.peak_memory_mb)

    def _run(self, job: Job, *flags: str) -> ToolOutput:
        program = f"{self.folder}/benchmark_model"
        words = [
            *(["taskset", self.mask] if self.mask else []),
            program,
            f"--graph={self._on_phone(job)}",
            f"--num_threads={self.threads}",
            _DELEGATES[job.delegate],
            *flags,
        ]
        try:
            answer = self.phone.shell(f"{' '.join(words)} 2>&1", SECONDS)
        except NoAnswer as silence:
            try:
                end_programs(self.phone)
            except DeviceLost:
                raise silence from None
            raise MeasurementError(f"benchmark_model did not end within {SECONDS:g} s: try fewer --runs") from None
        output = parse_output(answer.output)
        if answer.code:
            raise MeasurementError(_reason(answer.code, answer.output, output))
        if job.delegate != "cpu":
            _check_delegate(job.delegate, output)
        return output

    def _on_phone(self, job: Job) -> str:
        return f"{self.folder}/{sha256(job.model)[:16]}.tflite"


@contextmanager
def tool_runner(
    phone: Phone, say: Callable[[str], None], tool: Path, *, threads: int, runs: int, mask: str | None
) -> Iterator[ToolRunner]:
    """The program in a folder of its own on the phone, which is removed at the end."""
    with own_folder(phone, say) as folder:
        path = f"{folder}/benchmark_model"
        phone.push(tool.read_bytes(), path, executable=True)
        phone.shell(f"chmod 755 {path}")
        yield ToolRunner(phone, folder, threads, runs, mask)


class _NoOutputs(Exception):
    """This build does not know the flag, or writes nothing."""


def _check_delegate(delegate: str, output: ToolOutput) -> None:
    """The program goes on where a delegate takes nothing: the figures would be the CPU's. Raises MeasurementError."""
    # As the program calls it.
    name = delegate.upper()
    if _DELEGATES[delegate] in output.unknown_flags:
        raise MeasurementError(f"this build of benchmark_model knows no {delegate}: take another")
    took = any(name.lower() in taken.delegate.lower() for taken in output.delegations)
    if output.delegated.get(name, "not") == "not" and not took:
        raise MeasurementError(f"{name} executes nothing of the file on this phone, the CPU would do it all")


def _note(output: ToolOutput) -> str | None:
    """How much of the graph the delegates take, as far as the build says it."""
    parts = [f"{name} executes the graph {extent}" for name, extent in output.delegated.items() if extent != "not"]
    parts += [f"{taken.nodes} of {taken.of} nodes in {taken.delegate}" for taken in output.delegations if taken.of]
    parts += [f"through {output.gpu_api}"] if output.gpu_api else []
    return ", ".join(parts) or None


def _reason(code: int, text: str, output: ToolOutput) -> str:
    """Why the program ended with this exit code."""
    last = (text.strip().splitlines() or ["it said nothing"])[-1]
    if code in (126, 127):
        if "ermission denied" in text:
            return f"benchmark_model may not be executed on the phone: {last}"
        if "not executable" in text or "Exec format" in text:
            return f"benchmark_model is built for another ABI than the phone's: {last}"
        return f"benchmark_model cannot be started, it may be built for another system than Android: {last}"
    if output.errors:
        return f"benchmark_model failed: {' / '.join(output.errors)}"
    return f"benchmark_model ended with {_DEATHS.get(code, f'exit code {code}')}: {last}"


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1e3
