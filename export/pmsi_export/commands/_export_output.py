"""How `pmsi-export` shows what came of its jobs."""

from typing import TYPE_CHECKING, Any

from pmsi_export.job import Exported, Job
from pmsi_export.worker import Failure

if TYPE_CHECKING:
    from pmsi_export.contract import Agreement

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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("file", "MB", "s", "parity", "images", "max diff", "agree", "top-1"):
        number = column in ("MB", "s", "max diff", "agree", "top-1")
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    accuracies = set()
    for job, outcome in outcomes:
        if isinstance(outcome, Failure):
            table.add_row(job.target.name, "-", "-", "failed")
            continue
        parity = outcome.contract.parity
        described = [
            outcome.path.name,
            f"{outcome.size_bytes / 1e6:.1f}",
            f"{outcome.convert_seconds:.0f}",
            parity.status,
        ]
        if not parity.golden:
            table.add_row(*described, "-", "-", "-", "-")
            continue
        table.add_row(*described, *_agreement_cells("golden", parity.golden))
        if parity.photos:
            table.add_row(*[""] * len(described), *_agreement_cells("photos", parity.photos))
            accuracies.add(f"{parity.photos.reference_top1:.1%} on {parity.photos.images} photos")
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    for job, outcome in outcomes:
        reason = outcome.reason if isinstance(outcome, Failure) else outcome.contract.parity.reason
        if reason:
            console.print(f"{job.format}: {reason}")
    if accuracies:
        console.print(f"top-1 of the training network: {', '.join(sorted(accuracies))}")
    gates = {outcome.contract.parity.gate for _, outcome in outcomes if not isinstance(outcome, Failure)}
    for gate in sorted(gates):
        console.print(f"gate: {gate}")
    console.print(f"folder: {outcomes[0][0].target.parent}")


def _agreement_cells(what: str, measured: "Agreement") -> list[str]:
    top1 = "-" if measured.top1 is None else f"{measured.top1:.1%}"
    images = f"{measured.images} {what}"
    return [images, f"{measured.max_abs_difference:.1e}", f"{measured.top1_agreement:.1%}", top1]
