"""`pmsi-export`: a checkpoint to checked model files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pmsi_export.registry import FORMATS, Format, get_format, require
from pmsi_export.worker import Failure, Job, export_apart
from pmsi_mobile.cli import entry_point
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_export.contract import Agreement
    from pmsi_export.exporter import EvaluationPhotos, Exported
    from pmsi_mobile.checkpoint import Checkpoint

SIDE_BY_SIDE = 2
"""Converters at a time; one takes up to 3 GB."""


def export(
    checkpoint: Annotated[Path, typer.Argument(help="ckpt.pt of pmsi-train.")],
    formats: Annotated[
        list[str],
        typer.Option("--format", help=f"{', '.join(FORMATS)}, or all. May be given several times."),
    ] = ["tflite"],  # noqa: B006 (typer copies it)
    output: Annotated[Path | None, typer.Option(help="Folder for the files [default: beside the checkpoint].")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the files without suffix [default: the checkpoint's].")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of labelled photos: the gate is applied to its test or val split as well."),
    ] = None,
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Skip the parity gate; the contract says so.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Convert CHECKPOINT and check each file against the training network."""
    import json
    import shlex

    from pmsi_mobile.checkpoint import load_checkpoint

    if no_verify and data:
        raise PmsiError("--no-verify measures nothing: leave out --data")
    chosen = _choose(formats)
    loaded = load_checkpoint(checkpoint)
    photos = _evaluation_photos(data, loaded) if data else None
    folder, stem = output or checkpoint.parent, name or checkpoint.stem
    jobs = [Job(checkpoint, known.name, folder / f"{stem}{known.suffix}", not no_verify, photos) for known in chosen]
    outcomes = _run(jobs)

    if as_json:
        typer.echo(json.dumps([_row(job, outcome) for job, outcome in outcomes]))
    else:
        _print_table(outcomes)
        good = [str(job.target) for job, outcome in outcomes if not _why_not(outcome)]
        if good:
            typer.echo(f"next: pmsi-bench {shlex.join(good)}")
    failed = [f"{job.format} ({why})" for job, outcome in outcomes if (why := _why_not(outcome))]
    if failed:
        raise MeasurementError(f"{len(failed)} of {len(jobs)} formats failed: {', '.join(failed)}")


def _choose(names: list[str]) -> list[Format]:
    """The formats meant by the names. Raises PmsiError for an unknown one and for one that is not installed."""
    chosen = [get_format(name) for name in dict.fromkeys(FORMATS if "all" in names else names)]
    for known in chosen:
        require(known, known.convert_needs)
    return chosen


def _evaluation_photos(folder: Path, checkpoint: "Checkpoint") -> "EvaluationPhotos":
    import numpy as np

    from pmsi_export.exporter import EvaluationPhotos
    from pmsi_export.preprocess import load_image
    from pmsi_export.reference import reference_runner
    from pmsi_mobile.data.splits import photos_for_evaluation
    from pmsi_mobile.progress import progress

    config = checkpoint.config
    with progress("checking photos") as report:
        photos, notes = photos_for_evaluation(
            folder,
            checkpoint.classes,
            "auto",
            val_fraction=config.data.val_fraction,
            test_fraction=config.data.test_fraction,
            seed=config.seed,
            progress=report,
        )
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    runner = reference_runner(checkpoint)
    reference = []
    with progress("training network") as report:
        for photo in photos:
            reference.append(runner.predict(load_image(photo.path, config.preprocessing)))
            report(len(reference), len(photos))
    paths, labels = [photo.path for photo in photos], [photo.label for photo in photos]
    return EvaluationPhotos(paths, labels, np.stack(reference))


def _run(jobs: list[Job]) -> "list[tuple[Job, Exported | Failure]]":
    import os
    from concurrent.futures import ThreadPoolExecutor

    from pmsi_mobile.progress import progress

    outcomes = []
    with (
        ThreadPoolExecutor(min(SIDE_BY_SIDE, os.cpu_count() or 1)) as pool,
        progress("exporting") as report,
    ):
        for outcome in pool.map(export_apart, jobs):
            outcomes.append(outcome)
            report(len(outcomes), len(jobs))
    return list(zip(jobs, outcomes, strict=True))


def _why_not(outcome: "Exported | Failure") -> str | None:
    """Why there is no file to use, or None."""
    if isinstance(outcome, Failure):
        return outcome.reason
    parity = outcome.contract.parity
    return f"rejected: {parity.reason}" if parity.status == "failed" else None


def _row(job: Job, outcome: "Exported | Failure") -> dict[str, Any]:
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


def _print_table(outcomes: "list[tuple[Job, Exported | Failure]]") -> None:
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


main = entry_point(export)
