"""What a run leaves to read and look at: metrics.csv, TensorBoard, heads.csv, curves.png."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pmsi_mobile.csv_text import csv_text
from pmsi_mobile.files import atomic_write, write_text
from pmsi_mobile.plot_names import plot_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, float]


def write_csv(path: Path, rows: Sequence[Mapping[str, float | str]]) -> None:
    """Write rows under the first one's keys, atomically."""
    write_text(path, csv_text(rows))


def open_tensorboard(folder: Path, first_epoch: int) -> "SummaryWriter":
    """A TensorBoard writer; events from `first_epoch` on that a killed run left are superseded."""
    # TensorBoard's writer imports TensorFlow where it is installed: seconds, and chatter on stderr. The presence of
    # this module is TensorBoard's own switch for its built-in stub.
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_epoch + 1)


def log_epoch(writer: "SummaryWriter", row: Row) -> None:
    """One scalar per column; `loss_S3` becomes `loss/S3`."""
    for key, value in row.items():
        if key != "epoch":
            writer.add_scalar(key.replace("_", "/", 1), value, int(row["epoch"]))
    writer.flush()


def plot_curves(path: Path, history: Sequence[Row]) -> None:
    """Loss of each phase and validation top-1 of each head over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    columns = list(history[0])
    losses = [column for column in columns if column.startswith("loss_")]
    tops = [column for column in columns if column.startswith("top1_")]
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(11 if tops else 6, 4.2), layout="constrained")
    axes = figure.subplots(1, 2 if tops else 1, squeeze=False)[0]
    for column in losses:
        axes[0].plot(epochs, [row[column] for row in history], marker="o", ms=3, label=column.removeprefix("loss_"))
    axes[0].set(title="Training loss per phase", xlabel="epoch", ylabel="cross entropy")
    for column in tops:
        name = column.removeprefix("top1_")
        style = {"lw": 2.5, "color": "black"} if name == "mix" else {}
        axes[1].plot(epochs, [100 * row[column] for row in history], marker="o", ms=3, label=name, **style)
    if tops:
        axes[1].set(title="Validation top-1 per head", xlabel="epoch", ylabel="top-1 (%)")
    for axis in axes:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")


def plot_confidence(
    path: Path, reliability: Mapping[str, "NDArray[np.float64]"], risks: Mapping[str, "NDArray[np.float64]"]
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


def plot_confusion(path: Path, counts: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """Confusion matrix, each row as shares of its class; class names where they can be read."""
    import numpy as np
    from matplotlib.figure import Figure

    matrix = np.asarray(counts, dtype=float)
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
