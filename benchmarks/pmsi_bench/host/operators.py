"""What is in the measured files, and where it runs."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pmsi_bench.host.process import Job, WorkerFailed, open_worker
from pmsi_bench.results.host_result import Work
from pmsi_bench.subjects.subject import Subject
from pmsi_export.checks.inspect import Operator

_NOT_DELEGATED = ("interpreter", "portable")


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
