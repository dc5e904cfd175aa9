"""`pmsi-export --diagnose FILE...`: what is in files and checkpoints."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pmsi_export.commands.predict import CHECKPOINT_SUFFIXES

if TYPE_CHECKING:
    from pmsi_export.diagnose import Diagnosis


def show_diagnosis(paths: Sequence[Path], as_json: bool) -> None:
    """Print the operators of exported files and checkpoints, where they run, and their work. Raises PmsiError."""
    import json
    from dataclasses import asdict

    from pmsi_export.diagnose import diagnose, diagnose_checkpoint

    diagnoses = [diagnose_checkpoint(path) if path.suffix in CHECKPOINT_SUFFIXES else diagnose(path) for path in paths]
    if as_json:
        typer.echo(json.dumps([asdict(diagnosis) for diagnosis in diagnoses]))
        return
    for diagnosis in diagnoses:
        _print(diagnosis)


def _print(diagnosis: "Diagnosis") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
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
        table.add_row(operator.name, str(operator.count), operator.runs_on)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(f"{diagnosis.file}: {', '.join(facts)}")
    console.print(table)
