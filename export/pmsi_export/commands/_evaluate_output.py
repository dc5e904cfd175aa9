"""How `pmsi-eval` shows what it found."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table

from pmsi_export.evaluation.figures import Figures
from pmsi_mobile.confidence.promises import Kept
from pmsi_mobile.console.terminal import console_for, escaped, say


def as_plain(figures: Figures) -> dict[str, Any]:
    """For JSON."""
    return {
        "heads": {head: asdict(each) for head, each in figures.heads.items()},
        "confidence": {
            name: {kind: asdict(each) for kind, each in kinds.items()} for name, kinds in figures.worth.items()
        },
        "answers": [
            {**each.promise.model_dump(), "answered_here": each.answered, "right_here": each.right}
            for each in figures.promises
        ],
    }


def print_figures(figures: Figures, title: str) -> None:
    """Tables of heads and of probabilities, and a line for each promise."""
    for table in (_heads(figures, title), _probabilities(figures)):
        console_for(table).print(table)
    if figures.too_few:
        say(f"calibration: {figures.too_few}")
    for line in _promise_lines(figures.promises):
        say(line)


def _heads(figures: Figures, title: str) -> Table:
    table = Table(title=escaped(title))
    for column in ("head", "top-1", "95 % interval", "top-5"):
        table.add_column(column, justify="left" if column == "head" else "right")
    for head, each in figures.heads.items():
        table.add_row(head, f"{each.top1:.1%}", f"{each.top1_low:.1%} .. {each.top1_high:.1%}", f"{each.top5:.1%}")
    return table


def _probabilities(figures: Figures) -> Table:
    """What those of each prediction are worth, before and after its temperature."""
    table = Table(title="probabilities")
    for column in ("prediction", "temperature", "NLL", "Brier", "ECE", "95 % interval", "AURC"):
        table.add_column(column, justify="left" if column == "prediction" else "right")
    for name, kinds in figures.worth.items():
        for kind, each in kinds.items():
            table.add_row(
                name,
                f"{figures.temperatures[name] if kind == 'calibrated' else 1:.2f}",
                *(f"{value:.3f}" for value in (each.nll, each.brier, each.ece)),
                f"{each.ece_low:.3f} .. {each.ece_high:.3f}",
                f"{each.aurc:.3f}",
            )
    return table


def _promise_lines(promises: tuple[Kept, ...]) -> Iterator[str]:
    if not promises:
        yield "no promise of right answers: pmsi-calibrate makes those that its photos support"
    for each in promises:
        share = None if each.right is None else f"{each.right:.1%} of {each.answered:.0%} of the photos"
        begun = f"promised {100 * each.promise.right:g} % right from {each.promise.threshold:.3f} on"
        yield f"{begun}: {share or 'no photo is answered'}"
