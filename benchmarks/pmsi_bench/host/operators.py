"""What is in the measured files, and where it runs."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict

from pmsi_bench.host.process import WorkerFailed, open_worker
from pmsi_bench.subjects.subject import Job, Subject
from pmsi_export.checks.inspect import Operator

_NOT_DELEGATED = ("interpreter", "portable")


class Work(BaseModel):
    """What is in a file, and where it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    macs: int | None
    """Multiply-accumulates of one image; null where no file of the same network shows them."""
    delegated: float | None
    """Share of the operators that the accelerator's delegate takes, in 0..1; null where there is no delegate."""
    partitions: int | None
    operators: list[Operator]


def describe(subjects: Sequence[Subject]) -> dict[str, Work]:
    """By the subject's name, each file looked at once. One that does not show its multiply-accumulates has those of a
    file that computes the same."""
    by_model = {}
    for subject in subjects:
        model = subject.job.model
        if model not in by_model:
            with suppress(WorkerFailed), open_worker(Job(model, subject.job.side)) as worker:
                by_model[model] = worker.describe()
    seen = {subject.name: by_model[subject.job.model] for subject in subjects if subject.job.model in by_model}
    macs = {
        subject.function: seen[subject.name]["macs"]
        for subject in subjects
        if subject.name in seen and seen[subject.name]["macs"]
    }
    return {
        subject.name: Work(
            macs=seen[subject.name]["macs"] or macs.get(subject.function),
            delegated=_delegated(subject, seen[subject.name]["operators"]),
            partitions=seen[subject.name]["partitions"],
            operators=[Operator(**operator) for operator in seen[subject.name]["operators"]],
        )
        for subject in subjects
        if subject.name in seen
    }


def _delegated(subject: Subject, operators: Sequence[dict[str, Any]]) -> float | None:
    own = sum(operator["count"] for operator in operators if operator["runs_on"] in _NOT_DELEGATED)
    if subject.format == "tflite":
        return 1 - own / sum(operator["count"] for operator in operators)
    # What is inside a delegate's call is not counted in an ExecuTorch program.
    return 1.0 if subject.format == "executorch" and not own else None
