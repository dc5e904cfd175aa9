"""The result of a benchmark: what `--json` prints and the report shows."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pmsi_bench.collect import short_names
from pmsi_bench.measure import NotMeasured, Outcome, Timing
from pmsi_bench.statistics import Latency, Ratio, latency, ratio, round_medians_ms
from pmsi_bench.system import Machine
from pmsi_export.contract import Contract
from pmsi_export.registry import get_format
from pmsi_mobile.files import size_bytes


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figures(_Record):
    """What was measured of one file."""

    load_ms: float
    """To open the file, the runtime's libraries being imported already."""
    first_inference_ms: float
    latency: Latency
    ratio: Ratio
    """To the baseline; its own is 1."""
    round_medians_ms: list[float]


class FileResult(_Record):
    """One model file. `figures` is null where it was not measured, and `reason` says why."""

    name: str
    path: str
    format: str
    runtime: str
    precision: str
    input_side: int
    """Of the square input image, in pixels."""
    size_bytes: int
    checkpoint_sha256: str
    parity: Literal["passed", "failed", "not measured"]
    """The export's parity gate, from the JSON beside the file."""
    gate: str
    status: Literal["measured", "not runnable", "failed"]
    """`not runnable`: the format has no runtime on this system."""
    reason: str | None
    figures: Figures | None


class BenchResult(_Record):
    """One run of `pmsi-bench` on this host."""

    schema_version: Literal[1] = 1
    command: str
    started: datetime
    """UTC."""
    threads: int
    rounds: int
    """Whole rounds run; fewer than asked for when the time limit came first."""
    rounds_asked: int
    baseline: str | None
    """Name of the file that the ratios refer to: the first one that was measured."""
    machine: Machine
    files: list[FileResult]


def summarise(
    models: Sequence[Path],
    contracts: Sequence[Contract],
    outcomes: Sequence[Outcome],
    *,
    command: str,
    started: datetime,
    threads: int,
    rounds_asked: int,
    machine: Machine,
) -> BenchResult:
    """Make the result of outcomes, which are in the order of `models` and their contracts."""
    names = short_names(models)
    timings = [(name, outcome) for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, Timing)]
    baseline = timings[0] if timings else None
    return BenchResult(
        command=command,
        started=started,
        threads=threads,
        rounds=len(baseline[1].rounds) if baseline else 0,
        rounds_asked=rounds_asked,
        baseline=baseline[0] if baseline else None,
        machine=machine,
        files=[
            _file_result(name, model, contract, outcome, baseline[1] if baseline else None)
            for name, model, contract, outcome in zip(names, models, contracts, outcomes, strict=True)
        ],
    )


def _file_result(name: str, model: Path, contract: Contract, outcome: Outcome, baseline: Timing | None) -> FileResult:
    return FileResult(
        name=name,
        path=str(model),
        format=contract.format,
        runtime=get_format(contract.format).runtime,
        precision=contract.precision,
        input_side=contract.preprocessing.crop,
        size_bytes=size_bytes(model),
        checkpoint_sha256=contract.checkpoint_sha256,
        parity=contract.parity.status,
        gate=contract.parity.gate,
        status=_status(outcome),
        reason=outcome.reason if isinstance(outcome, NotMeasured) else None,
        figures=_figures(outcome, baseline) if isinstance(outcome, Timing) and baseline else None,
    )


def _status(outcome: Outcome) -> Literal["measured", "not runnable", "failed"]:
    if isinstance(outcome, Timing):
        return "measured"
    return "not runnable" if outcome.not_runnable else "failed"


def _figures(timing: Timing, baseline: Timing) -> Figures:
    medians = round_medians_ms(timing.rounds)
    return Figures(
        load_ms=timing.load_ms,
        first_inference_ms=timing.first_inference_ms,
        latency=latency(timing.rounds),
        ratio=ratio(medians, round_medians_ms(baseline.rounds)),
        round_medians_ms=medians,
    )
