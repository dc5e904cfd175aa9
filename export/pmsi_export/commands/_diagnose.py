"""`pmsi-export --diagnose FILE...`: what is in files and checkpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pmsi_mobile.console.terminal import escaped, plain_console

if TYPE_CHECKING:
    from pmsi_export.checks.inspect import Diagnosis
    from pmsi_export.weights.int8 import LayerLoss


def show_diagnosis(paths: Sequence[Path], int8: bool, calibration: Path | None, as_json: bool) -> None:
    """Print the operators of exported files and checkpoints, where they run, and their work.

    int8: of checkpoints also what int8 costs at each layer, on the photos of `calibration` or those of the run.
    Raises PmsiError.
    """
    import json
    from dataclasses import asdict

    from pmsi_export.checks.inspect import diagnose, diagnose_checkpoint
    from pmsi_export.formats.registry import is_exported
    from pmsi_mobile.console.progress import loading_pytorch
    from pmsi_mobile.tensor_check import check_tensors

    rows = []
    for path in paths:
        of_checkpoint = not is_exported(path)
        if of_checkpoint:
            check_tensors(path)
            loading_pytorch()
        diagnosis = diagnose_checkpoint(path) if of_checkpoint else diagnose(path)
        losses = _int8_losses(path, calibration) if int8 and of_checkpoint else []
        if as_json:
            rows.append({**asdict(diagnosis), "int8": [loss._asdict() for loss in losses]})
        else:
            _print(diagnosis)
            _print_losses(losses)
    if as_json:
        typer.echo(json.dumps(rows))


def _int8_losses(checkpoint: Path, calibration: Path | None) -> "list[LayerLoss]":
    from pmsi_export.checks.inspect import diagnose_int8
    from pmsi_export.checks.photos import calibration_photos

    return diagnose_int8(checkpoint, calibration_photos(calibration, checkpoint, needed=True))


def _print(diagnosis: "Diagnosis") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    facts = [f"{diagnosis.bytes / 1e6:.1f} MB"]
    if diagnosis.macs is not None and diagnosis.parameters is not None:
        facts += [f"{diagnosis.parameters / 1e6:.2f} M parameters", f"{diagnosis.macs / 1e9:.3f} G MACs"]
    if diagnosis.partitions is not None:
        facts.append(f"{diagnosis.partitions} delegated partition{'' if diagnosis.partitions == 1 else 's'}")
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("operator", "count", "runs on"):
        table.add_column(column, justify="right" if column == "count" else "left", no_wrap=True)
    for operator in diagnosis.operators:
        table.add_row(escaped(operator.name), str(operator.count), operator.runs_on)
    console = plain_console()
    console.print(escaped(f"{diagnosis.file}: {', '.join(facts)}"))
    console.print(table)


def _print_losses(losses: "Sequence[LayerLoss]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not losses:
        return
    table = Table("layer", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("weights dB", justify="right")
    table.add_column("outputs dB", justify="right")
    for loss in losses:
        table.add_row(escaped(loss.name), f"{loss.weight:.1f}", f"{loss.output:.1f}")
    console = plain_console()
    console.print("int8, signal-to-noise ratio of each layer in the order of execution (more is better):")
    console.print(table)
