"""An evaluation as one self-contained page: figures, and the photos that show what goes wrong."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pmsi_export.evaluation.figures import Figures
from pmsi_export.evaluation.findings import confused_pairs, mislabelled, near_training, surest_mistakes
from pmsi_export.evaluation.model import Model
from pmsi_export.evaluation.predictions import Predictions
from pmsi_export.evaluation.thumbnails import thumbnail
from pmsi_mobile.config import Resize
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.duplicates import COPY_BITS
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install
from pmsi_mobile.files import check_writable, write_text
from pmsi_mobile.provenance import now, versions

_NEEDS = ("jinja2", "matplotlib", "scipy", "cleanlab", "imagehash")
_PAIRS, _PER_CLASS, _SHOWN = 10, 4, 24
"""Pairs of classes, photos of each, photos in each other section at most: they bound the page at about 1 MB."""


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, how, and what came of it."""

    model: Model
    data: Path
    split: str
    resize: Resize
    corruption: Corruption | None
    photos: Sequence[Photo]
    predictions: Predictions
    figures: Figures
    notes: Sequence[str]


def check_report(path: Path, data: Path) -> None:
    """Before anything is measured: raise PmsiError for a name that is no page's, a place that cannot be written to, and
    for packages that are missing."""
    if path.suffix != ".html" or path.is_dir():
        raise PmsiError(f"--report {path} is no page: name a file that ends in .html")
    check_writable(path.absolute().parent, data)
    missing = [module for module in _NEEDS if find_spec(module) is None]
    if missing:
        raise PmsiError(f"--report needs {', '.join(missing)}, which is not installed: {how_to_install('cleanlab')}")


def write_report(path: Path, evaluation: Evaluation, training: Sequence[Photo] | None, command: str) -> None:
    """Write the page atomically. training: the model's training photos; None where they are not at hand."""
    write_text(path, as_html(evaluation, training, command))


def as_html(evaluation: Evaluation, training: Sequence[Photo] | None, command: str) -> str:
    """The page as text."""
    from markupsafe import Markup

    from pmsi_export.evaluation.plots import reliability_plot, risk_plot
    from pmsi_mobile.pages.page import render

    model, figures, photos = evaluation.model, evaluation.figures, evaluation.photos
    labels, probabilities = np.array([photo.label for photo in photos]), evaluation.predictions.shipped
    seen = evaluation.split in ("train", "all")
    suspects = [] if seen else mislabelled(labels, probabilities)
    repeated = [] if seen or training is None else near_training(photos, training)
    confused = confused_pairs(labels, probabilities, _PAIRS, _PER_CLASS)
    off_diagonal = figures.confusion + figures.confusion.T
    script = resources.files("pmsi_export.evaluation").joinpath("templates/report.js").read_text(encoding="utf-8")
    return render(
        "pmsi_export.evaluation",
        "report.html",
        name=model.path.name,
        data=str(evaluation.data),
        split=evaluation.split,
        resize=evaluation.resize,
        corruption=str(evaluation.corruption or ""),
        notes=evaluation.notes,
        figures=figures,
        reliability_plots={"": reliability_plot(figures.reliability)},
        risk_plots={"": risk_plot(figures.risk)},
        classes=model.classes,
        photos=photos,
        paths=[photo.path.relative_to(evaluation.data).as_posix() for photo in photos],
        thumbnail=cache(thumbnail),
        labels=labels,
        probabilities=probabilities,
        predicted=probabilities.argmax(axis=1),
        first=probabilities.max(axis=1),
        confused=confused,
        pairs=int(np.count_nonzero(np.triu(off_diagonal, 1))),
        per_class=_PER_CLASS,
        mistakes=surest_mistakes(labels, probabilities, _SHOWN),
        seen=seen,
        suspects=suspects,
        shown_suspects=suspects[:_SHOWN],
        training=None if training is None else len(training),
        repeated=repeated,
        shown_repeated=repeated[: _SHOWN // 2],
        copy_bits=COPY_BITS,
        digest=model.digest,
        made=now(),
        versions=versions("torch", "ai-edge-litert", "onnxruntime", "numpy", "cleanlab"),
        command=command,
        script=Markup(script),
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
    )
