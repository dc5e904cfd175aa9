"""An evaluation's figures as CSV files and pictures."""

from dataclasses import asdict
from pathlib import Path

from pmsi_export.evaluation.figures import Figures
from pmsi_export.evaluation.pictures import plot_confidence, plot_confusion
from pmsi_mobile.csv_text import csv_text
from pmsi_mobile.files import write_text

NAMES = ("heads.csv", "per_class.csv", "confusion.png", "confidence.csv", "confidence.png")


def write_tables(figures: Figures, folder: Path) -> None:
    """Write NAMES, each atomically."""
    rows: dict[str, list[dict[str, object]]] = {
        "heads.csv": [{"head": head, **asdict(each)} for head, each in figures.heads.items()],
        "per_class.csv": [
            {
                "class": each.name,
                "photos": each.photos,
                "correct": each.correct,
                "top1": "" if each.top1 is None else f"{each.top1:.4f}",
                "most_confused_with": each.taken_for or "",
                "times": each.times,
            }
            for each in figures.classes
        ],
        "confidence.csv": [
            {"prediction": name, "probabilities": kind, **asdict(each)}
            for name, kinds in figures.worth.items()
            for kind, each in kinds.items()
        ],
    }
    for name, table in rows.items():
        write_text(folder / name, csv_text(table))
    plot_confusion(folder / "confusion.png", figures.confusion, [each.name for each in figures.classes])
    plot_confidence(folder / "confidence.png", figures.reliability, figures.risk)
