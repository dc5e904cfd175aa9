"""Pictures of an evaluation: reliability, risk and coverage, confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.files import atomic_write
from pmsi_mobile.plot_names import plot_names


def plot_confidence(
    path: Path, reliability: Mapping[str, NDArray[np.float64]], risks: Mapping[str, NDArray[np.float64]]
) -> None:
    """Reliability diagrams ([bins, 2]: mean first probability, share right) and risk-coverage curves ([N]) by name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color="0.6", lw=1, ls="--")
    for name, bins in reliability.items():
        left.plot(100 * bins[:, 0], 100 * bins[:, 1], marker="o", ms=4, label=name)
    left.set(title="Reliability", xlabel="first probability (%)", ylabel="right (%)")
    for name, risk in risks.items():
        coverage = [100 * (number + 1) / len(risk) for number in range(len(risk))]
        right.plot(coverage, 100 * risk, label=name)
    right.set(title="Risk and coverage", xlabel="answered, the surest first (%)", ylabel="wrong of these (%)")
    for axis in (left, right):
        axis.set(xlim=(0, 100), ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def plot_confusion(path: Path, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Confusion matrix, each row as shares of its class; class names where they can be read."""
    from matplotlib.figure import Figure

    matrix = counts.astype(float)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(6 + 0.16 * len(classes), 24)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axis.set(xlabel="predicted (Mix)", ylabel="true class", title="Confusion matrix, share of each true class")
    if len(classes) <= 100:
        names, families = plot_names(classes)
        # A `$` in a name is a `$`.
        style: dict[str, Any] = {"fontsize": 9 if len(classes) <= 30 else 6, "family": families, "parse_math": False}
        axis.set_xticks(range(len(classes)), names, rotation=90, **style)
        axis.set_yticks(range(len(classes)), names, **style)
    figure.colorbar(image, ax=axis, shrink=0.7)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
