"""A burst of inferences on the phone: its figures, and what each runner (benchmark_model, the app) has to offer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from pmsi_bench.phone.profile import OpTime
from pmsi_export.contract.golden_samples import GoldenSamples
from pmsi_export.contract.schema import Contract, Parity

Delegate = Literal["cpu", "gpu", "nnapi"]


@dataclass(frozen=True)
class Job:
    """A model file and the delegate that it is to run on. golden: the samples beside it, where there are any."""

    model: Path
    contract: Contract
    golden: GoldenSamples | None
    delegate: Delegate


class Burst(BaseModel):
    """What one start of the program, or of the app's benchmark, gave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inferences: int
    load_ms: float | None
    first_inference_ms: float | None
    mean_ms: float
    median_ms: float | None
    """Null where an old benchmark_model prints none."""
    min_ms: float | None
    max_ms: float | None
    stdev_ms: float | None
    p95_ms: float | None
    latencies_ns: list[int] | None
    """One per inference, where they are known one by one."""
    note: str | None
    """How much of the graph the delegate took, as far as the runner tells."""
    throttled: bool

    @property
    def typical_ms(self) -> float:
        """The median, or the mean where there is none."""
        return self.mean_ms if self.median_ms is None else self.median_ms


class Inspection(BaseModel):
    """What is found out in a run of its own, which is not timed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operators: list[OpTime] = []
    """What each takes."""
    peak_memory_mb: float | None = None
    """MiB, of the whole process."""


class DeviceRunner(Protocol):
    """A way to run files on the phone. Every method raises DeviceLost when the phone is gone, and MeasurementError
    when the job alone cannot be done."""

    def prepare(self, job: Job) -> None:
        """Bring the file to the phone."""

    def burst(self, job: Job) -> Burst:
        """Run it for a while."""

    def parity(self, job: Job) -> Parity:
        """The golden samples as the phone computes them, judged here."""

    def inspect(self, job: Job) -> Inspection:
        """Look inside, where the runner can."""
