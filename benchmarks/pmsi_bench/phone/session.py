"""A benchmark on a phone from beginning to end: bring the files, run rounds, check the outputs, clean up.

Files are run in interleaved rounds, as on the host: in each round every row runs once, and the order rotates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pmsi_bench.phone.adb import DeviceLost, Phone
from pmsi_bench.phone.burst import Burst, DeviceRunner, Inspection, Job
from pmsi_bench.phone.thermal import Thermal, read_thermal
from pmsi_bench.subjects.order import rotated
from pmsi_export.checks.gates import not_measured
from pmsi_export.contract.schema import Parity
from pmsi_export.runtime.runner import NotRunnable
from pmsi_mobile.errors import MeasurementError


@dataclass
class Outcome:
    """What is known of one job so far."""

    rounds: list[Burst] = field(default_factory=list)
    parity: Parity | None = None
    inspection: Inspection = field(default_factory=Inspection)
    throttled: bool = False
    problem: str | None = None
    """Why it was not run, or not to the end."""
    not_runnable: bool = False


@dataclass(frozen=True)
class Session:
    """All outcomes, in the order of the jobs. lost: when the phone was gone before the end."""

    outcomes: list[Outcome]
    thermal_after: Thermal | None
    lost: str | None


def run_session(
    phone: Phone,
    runner: DeviceRunner,
    jobs: Sequence[Job],
    *,
    rounds: int,
    cool: Callable[[], object],
    progress: Callable[[int, int], None],
) -> Session:
    """Run every job `rounds` times, then compare its outputs and look inside.

    A job that fails is left out from there on; when the phone is lost, what was measured until then is kept.
    cool: waits until the phone is cool. progress: called with (steps done, steps).
    """
    outcomes = [Outcome() for _ in jobs]
    steps, done = len(jobs) * (rounds + 2), 0

    def attempt(index: int, action: Callable[[Job, Outcome], None]) -> None:
        nonlocal done
        outcome = outcomes[index]
        if not outcome.problem:
            try:
                action(jobs[index], outcome)
            except NotRunnable as error:
                outcome.problem, outcome.not_runnable = error.reason, True
            except MeasurementError as error:
                outcome.problem = str(error)
        done += 1
        progress(done, steps)

    def prepare(job: Job, outcome: Outcome) -> None:
        runner.prepare(job)

    def burst(job: Job, outcome: Outcome) -> None:
        outcome.rounds.append(runner.burst(job))

    def check(job: Job, outcome: Outcome) -> None:
        try:
            outcome.parity = runner.parity(job)
            outcome.inspection = runner.inspect(job)
        except MeasurementError as error:
            outcome.parity = outcome.parity or not_measured(job.contract.precision, str(error))

    try:
        for index in range(len(jobs)):
            attempt(index, prepare)
        for number in range(rounds):
            for index in rotated(range(len(jobs)), number):
                attempt(index, burst)
            if read_thermal(phone).throttled:
                for outcome in outcomes:
                    outcome.throttled |= len(outcome.rounds) > number
                if number + 1 < rounds:
                    cool()
        for index in range(len(jobs)):
            attempt(index, check)
        return Session(outcomes, read_thermal(phone), None)
    except DeviceLost as lost:
        for outcome in outcomes:
            outcome.problem = outcome.problem or str(lost)
        return Session(outcomes, None, str(lost))
