"""The result of a benchmark on a phone: what `--json` prints and the report shows."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pmsi_bench.phone.burst import Burst, Delegate, Inspection, Job
from pmsi_bench.phone.record import DeviceRecord
from pmsi_bench.phone.session import Outcome
from pmsi_bench.phone.thermal import Thermal
from pmsi_bench.results.network import Network, network_of
from pmsi_bench.statistics import Ratio, ratio
from pmsi_bench.subjects.collect import short_names
from pmsi_bench.subjects.function import function_of, numbered
from pmsi_export.checks.gates import not_measured
from pmsi_export.contract.schema import Parity
from pmsi_mobile.files import size_bytes


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceFigures(_Record):
    """Of one row, over its rounds. Milliseconds."""

    load_ms: float | None
    first_inference_ms: float | None
    typical_ms: float
    """Median over the rounds of a round's median, or of its mean where the program prints no median."""
    typical_is: Literal["median", "mean"]
    mean_ms: float
    min_ms: float | None
    max_ms: float | None
    inferences: int
    p95_ms: float | None
    """Median over the rounds of a round's; null where the program prints none."""
    ratio: Ratio
    """To the rounds of its network's baseline, round with round; its own is 1."""


class DeviceRow(_Record):
    """One file on one delegate."""

    name: str
    path: str
    format: str
    precision: str
    size_bytes: int
    checkpoint_sha256: str
    network: int = 0
    """Index in `networks`."""
    delegate: Delegate
    status: Literal["measured", "partial", "not runnable", "failed"]
    """`partial`: some rounds, until what `reason` says; `failed`: none."""
    reason: str | None
    note: str | None
    """How much of the graph the delegate took, as far as the runner tells."""
    figures: DeviceFigures | None
    rounds: list[Burst]
    parity: Parity
    """Of the phone's own outputs."""
    inspection: Inspection
    """Operators and memory, as far as the runner can tell."""
    export_top1: float | None
    """Accuracy of the file in 0..1 as the export measured it on a host; null where it had no labelled photos."""
    throttled: bool
    """Whether the phone slowed itself down in one of the rounds."""

    @property
    def title(self) -> str:
        """Names the row."""
        return f"{self.name}, {self.delegate}"


class DeviceResult(_Record):
    """One run of `pmsi-bench --device`."""

    schema_version: Literal[1] = 1
    command: str
    started: datetime
    """UTC."""
    runner: Literal["benchmark_model", "app"]
    tool_sha256: str | None
    """Of the benchmark_model that ran."""
    threads: int
    runs: int
    """Inferences asked for in each round."""
    rounds: int
    """Asked for."""
    device: DeviceRecord
    fixed_performance: bool
    """Whether all latencies are those of Android's fixed-performance mode, which holds the clocks below their maximum;
    else the clocks were left to the phone."""
    thermal_before: Thermal
    thermal_after: Thermal | None
    """Null when the phone was gone."""
    lost: str | None
    """When the phone was gone before the end."""
    baseline: str | None
    """Title of the first row that was measured. Ratios refer to the baseline of a row's own network."""
    networks: list[Network] = []
    """What the files compute, in the order of the rows; rows of different ones are not compared."""
    rows: list[DeviceRow]

    @property
    def clocks(self) -> str:
        """What latencies say depends on it."""
        return (
            "in fixed-performance mode, which holds the clocks below their maximum"
            if self.fixed_performance
            else "with the clocks left to the phone"
        )


def device_rows(jobs: Sequence[Job], outcomes: Sequence[Outcome], rounds: int) -> tuple[list[DeviceRow], list[Network]]:
    """Rows of the outcomes, in the order of their jobs, and the networks that they compute. rounds: asked for."""
    models = list(dict.fromkeys(job.model for job in jobs))
    names = dict(zip(models, short_names(models), strict=True))
    functions = [function_of(job.contract) for job in jobs]
    numbers = numbered(functions)
    measured = [index for index, outcome in enumerate(outcomes) if outcome.rounds]
    baselines = {number: next((index for index in measured if numbers[index] == number), None) for number in numbers}
    rows = [
        _row(names[job.model], job, number, outcome, outcomes[base].rounds if base is not None else [], rounds)
        for job, number, outcome in zip(jobs, numbers, outcomes, strict=True)
        for base in [baselines[number]]
    ]
    networks = [
        network_of(function, rows[base].title if base is not None else None)
        for function, base in zip(dict.fromkeys(functions), baselines.values(), strict=True)
    ]
    return rows, networks


def _row(name: str, job: Job, network: int, outcome: Outcome, baseline: Sequence[Burst], rounds: int) -> DeviceRow:
    contract, measured = job.contract, outcome.rounds
    return DeviceRow(
        name=name,
        path=str(job.model),
        format=contract.format,
        precision=contract.precision,
        size_bytes=size_bytes(job.model),
        checkpoint_sha256=contract.checkpoint_sha256,
        network=network,
        delegate=job.delegate,
        status=_status(outcome, rounds),
        reason=outcome.problem,
        note=measured[-1].note if measured else None,
        figures=_figures(measured, baseline) if measured else None,
        rounds=measured,
        parity=outcome.parity or not_measured(contract.precision, outcome.problem or "the benchmark ended before"),
        inspection=outcome.inspection,
        export_top1=contract.parity.photos.top1 if contract.parity.photos else None,
        throttled=outcome.throttled or any(burst.throttled for burst in measured),
    )


def _status(outcome: Outcome, rounds: int) -> Literal["measured", "partial", "not runnable", "failed"]:
    if len(outcome.rounds) == rounds:
        return "measured"
    if outcome.rounds:
        return "partial"
    return "not runnable" if outcome.not_runnable else "failed"


def _figures(rounds: Sequence[Burst], baseline: Sequence[Burst]) -> DeviceFigures:
    """Sum up the rounds of a row, at least one. baseline: another's; the rounds that both have are compared."""
    pairs = list(zip(rounds, baseline, strict=False))
    return DeviceFigures(
        load_ms=_median([burst.load_ms for burst in rounds]),
        first_inference_ms=_median([burst.first_inference_ms for burst in rounds]),
        typical_ms=median(burst.typical_ms for burst in rounds),
        typical_is="mean" if any(burst.median_ms is None for burst in rounds) else "median",
        mean_ms=sum(burst.mean_ms * burst.inferences for burst in rounds) / sum(burst.inferences for burst in rounds),
        min_ms=min((burst.min_ms for burst in rounds if burst.min_ms is not None), default=None),
        max_ms=max((burst.max_ms for burst in rounds if burst.max_ms is not None), default=None),
        inferences=sum(burst.inferences for burst in rounds),
        p95_ms=_median([burst.p95_ms for burst in rounds]),
        ratio=ratio([mine.typical_ms for mine, _ in pairs], [other.typical_ms for _, other in pairs]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
