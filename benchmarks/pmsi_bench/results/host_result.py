"""The result of a benchmark on this host: what `--json` prints, the reports show and `--compare` reads."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pmsi_bench.host.accuracy import Accuracy
from pmsi_bench.host.machine import Machine
from pmsi_bench.host.operators import Work
from pmsi_bench.host.rounds import Measurement, NotMeasured, Outcome, Timing
from pmsi_bench.host.sustained import Window
from pmsi_bench.results.network import Network, network_of
from pmsi_bench.statistics import Latency, Ratio, latency, ratio, round_medians_ms
from pmsi_bench.subjects.function import numbered
from pmsi_bench.subjects.subject import Subject
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import size_bytes

_INTEGERS = ("int8", "int8-dynamic")
"""Precisions whose products are those of integers."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(_Record):
    """What was measured of one file."""

    load_ms: float
    """To open the file, the runtime's libraries being imported already: median over the times that it was opened."""
    first_inference_ms: float
    memory_bytes: int | None
    """By how much the process grew above the idle runtime until its first inference was done; null where the system
    does not tell."""
    latency: Latency
    ratio: Ratio
    """To the baseline of its network; its own is 1."""
    round_medians_ms: list[float]
    peak_share: float | None = None
    """Multiply-accumulates a second over the machine's peak in the same round, median over the rounds; null for integer
    files, whose peak is another, and where one of the two is not known."""


class FileResult(_Record):
    """One row: a file on a number of threads. `figures` is null where it was not measured, and `reason` says why."""

    name: str
    path: str
    format: str
    runtime: str
    precision: str
    input_side: int
    """Of the square input image, in pixels."""
    threads: int
    size_bytes: int
    checkpoint_sha256: str
    content_sha256: str
    network: int = 0
    """Index in `networks`."""
    parity: Literal["passed", "failed", "not measured", "reference"]
    """The export's parity gate, from the contract in the file; `reference` for PyTorch itself."""
    gate: str
    status: Literal["measured", "not runnable", "failed"]
    """`not runnable`: the format has no runtime on this system."""
    reason: str | None
    figures: Figures | None
    work: Work | None
    accuracy: Accuracy | None
    """Null where no photos were given."""
    sustained: list[Window]
    """Empty unless it was asked for."""
    problems: list[str] = []
    """What failed after it had been timed."""


class BenchResult(_Record):
    """One run of `pmsi-bench` on this host."""

    schema_version: Literal[2] = 2
    command: str
    started: datetime
    """UTC."""
    rounds: int
    """Whole rounds run."""
    stopped: Literal["interval", "rounds", "time"]
    """What ended them: intervals as narrow as `width`, the number asked for, or the time limit."""
    width: float | None
    baseline: str | None
    """Name of the row that was asked for, or else of the first that was measured. Ratios refer to the baseline of a
    row's own network."""
    networks: list[Network] = []
    """What the files compute, in the order of the files; rows of different ones are not compared."""
    machine: Machine
    peak_macs_per_second: dict[int, float]
    """By number of threads: the largest rate of float32 matrix products in a round, median over the rounds."""
    photos: str | None
    """Folder of the accuracy."""
    files: list[FileResult]

    def macs_per_second(self, file: FileResult) -> float | None:
        """Multiply-accumulates a second that a file reached."""
        if not file.figures or not file.work or not file.work.macs:
            return None
        return 1000 * file.work.macs / file.figures.latency.median_ms


def summarise(
    subjects: Sequence[Subject],
    measurement: Measurement,
    *,
    command: str,
    started: datetime,
    width: float | None,
    baseline: int,
    machine: Machine,
    peaks: Mapping[int, Sequence[float]],
    work: Mapping[str, Work],
    accuracy: Mapping[str, Accuracy],
    photos: Path | None,
    sustained: Mapping[str, list[Window]],
    problems: Mapping[str, list[str]],
) -> BenchResult:
    """Make the result of a measurement of `subjects`; work, accuracy, sustained and problems by the subject's name.

    peaks: by the number of threads, those of every round.
    baseline: index of the subject that the ratios refer to; where that was not measured, the first that was.
    """
    timings = {
        subject.name: outcome
        for subject, outcome in zip(subjects, measurement.outcomes, strict=True)
        if isinstance(outcome, Timing)
    }
    functions = {subject.name: subject.function for subject in subjects}
    candidates = [name for name in (subjects[baseline].name, *timings) if name in timings]
    reference = next(iter(candidates), None)
    networks = [
        network_of(function, next((name for name in candidates if functions[name] == function), None))
        for function in dict.fromkeys(functions.values())
    ]
    return BenchResult(
        command=command,
        started=started,
        rounds=len(timings[reference].rounds) if reference else 0,
        stopped=measurement.stopped,
        width=width,
        baseline=reference,
        networks=networks,
        machine=machine,
        peak_macs_per_second={count: median(rates) for count, rates in peaks.items() if rates},
        photos=str(photos) if photos else None,
        files=[
            FileResult(
                name=subject.name,
                path=str(subject.job.model),
                format=subject.format,
                runtime=subject.runtime,
                precision=subject.precision,
                input_side=subject.job.side,
                threads=subject.job.threads,
                size_bytes=size_bytes(subject.job.model),
                checkpoint_sha256=subject.function.checkpoint_sha256,
                content_sha256=subject.content_sha256,
                network=number,
                parity=subject.parity,
                gate=subject.gate,
                status=_status(outcome),
                reason=outcome.reason if isinstance(outcome, NotMeasured) else None,
                figures=_figures(
                    subject,
                    outcome,
                    timings[networks[number].baseline or subject.name],
                    work.get(subject.name),
                    peaks.get(subject.job.threads),
                )
                if isinstance(outcome, Timing)
                else None,
                work=work.get(subject.name),
                accuracy=accuracy.get(subject.name),
                sustained=sustained.get(subject.name, []),
                problems=problems.get(subject.name, []),
            )
            for subject, number, outcome in zip(
                subjects, numbered(list(functions.values())), measurement.outcomes, strict=True
            )
        ],
    )


def read_result(path: Path) -> BenchResult:
    """A result that `--json` printed. Raises PmsiError."""
    if not path.is_file():
        raise PmsiError(f"{path} does not exist: pmsi-bench FILE... --json > {path} makes it")
    try:
        return BenchResult.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PmsiError(f"{path} is not a result of this version of pmsi-bench: {where} {first['msg']}") from None


def _status(outcome: Outcome) -> Literal["measured", "not runnable", "failed"]:
    if isinstance(outcome, Timing):
        return "measured"
    return "not runnable" if outcome.not_runnable else "failed"


def _figures(
    subject: Subject, timing: Timing, baseline: Timing, work: Work | None, peaks: Sequence[float] | None
) -> Figures:
    medians = round_medians_ms(timing.rounds)
    macs = work.macs if work and subject.precision not in _INTEGERS else None
    return Figures(
        load_ms=median(timing.load_ms),
        first_inference_ms=timing.first_inference_ms,
        memory_bytes=timing.memory_bytes,
        latency=latency(timing.rounds),
        ratio=ratio(medians, round_medians_ms(baseline.rounds)),
        round_medians_ms=medians,
        peak_share=median(1000 * macs / own / peak for own, peak in zip(medians, peaks, strict=True))
        if macs and peaks
        else None,
    )
