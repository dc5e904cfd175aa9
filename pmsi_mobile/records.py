"""What a run leaves to read and look at: metrics.csv, TensorBoard, heads.csv, curves.png, predictions.csv."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pmsi_mobile.csv_text import csv_text
from pmsi_mobile.files import atomic_write, write_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, float]
PREDICTIONS = "predictions.csv"
"""A row per test photo, the last file that a run writes."""


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
