"""How `pmsi-export` shows what came of its jobs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pmsi_export.jobs.job import Exported, Job
from pmsi_export.jobs.subprocesses import Failure
from pmsi_mobile.console.terminal import console_for, escaped

if TYPE_CHECKING:
    from pmsi_export.contract.schema import Agreement

Outcomes = list[tuple[Job, Exported | Failure]]


def why_not(outcome: Exported | Failure) -> str | None:
    """Why there is no file to use, or None."""
    if isinstance(outcome, Failure):
        return outcome.reason
    parity = outcome.contract.parity
    return f"rejected: {parity.reason}" if parity.status == "failed" else None


def row(job: Job, outcome: Exported | Failure) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"format": job.format, "status": "failed", "reason": outcome.reason}
    contract = outcome.contract
    return {
        "format": job.format,
        "status": "rejected" if contract.parity.status == "failed" else "exported",
        "file": str(outcome.path),
        "bytes": outcome.size_bytes,
        "precision": contract.precision,
        "convert_seconds": round(outcome.convert_seconds, 2),
        "parity": contract.parity.model_dump(mode="json"),
    }


def print_table(outcomes: Outcomes) -> None:
    """A row per file: the figures on photos where there are any, else on the golden samples."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("file", "MB", "s", "parity", "images", "max diff", "SQNR", "agree", "sure", "top-1"):
        table.add_column(column, justify="left" if column in ("file", "parity") else "right", no_wrap=True)
    for job, outcome in outcomes:
        if isinstance(outcome, Failure):
            table.add_row(escaped(job.target.name), "-", "-", "failed")
            continue
        parity = outcome.contract.parity
        measured = parity.photos or parity.golden
        table.add_row(
            escaped(outcome.path.name),
            f"{outcome.size_bytes / 1e6:.1f}",
            f"{outcome.convert_seconds:.0f}",
            parity.status,
            *(_agreement_cells(measured) if measured else ["-"] * 6),
        )
    console = console_for(table)
    console.print(table)
    for line in _remarks(outcomes):
        console.print(escaped(line))


def _remarks(outcomes: Outcomes) -> Iterator[str]:
    contracts = {job.target.name: outcome.contract for job, outcome in outcomes if not isinstance(outcome, Failure)}
    for job, outcome in outcomes:
        reason = outcome.reason if isinstance(outcome, Failure) else outcome.contract.parity.reason
        if reason:
            yield f"{job.target.name}: {reason}"
    for name, contract in contracts.items():
        if contract.resizes:
            shares = contract.resizes.model_dump(exclude={"photos"}).items()
            yield f"{name}: top-1 by resize: {', '.join(f'{rule} {share:.1%}' for rule, share in shares)}"
    measured_photos = [contract.parity.photos for contract in contracts.values() if contract.parity.photos]
    if measured_photos:
        reference = measured_photos[0]
        yield f"top-1 of the training network: {reference.reference_top1:.1%} on {reference.images} photos"
    for gate in dict.fromkeys(contract.parity.gate for contract in contracts.values()):
        precisions = dict.fromkeys(
            contract.precision for contract in contracts.values() if contract.parity.gate == gate
        )
        yield f"gate of {', '.join(precisions)}: {gate}"
    yield f"folder: {outcomes[0][0].target.parent}"


def _agreement_cells(measured: "Agreement") -> list[str]:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    return [
        str(measured.images),
        f"{measured.max_abs_difference:.1e}",
        "-" if measured.sqnr_db is None else f"{measured.sqnr_db:.1f}",
        share(measured.top1_agreement),
        share(measured.confident_agreement),
        share(measured.top1),
    ]
