"""What pmsi-train shows: a progress bar on a terminal, a line per epoch, the table of heads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from pmsi_mobile.accuracy import interval
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.console.terminal import escaped, plain_console
from pmsi_mobile.records import Row

console = plain_console(err=True)


class ConsoleListener:
    """Draws a training run on stderr; the bar only where stderr is a terminal. epochs: how many the run has, as far as
    is known by then."""

    def __init__(self, epochs: Callable[[], int]) -> None:
        self.epochs = epochs
        self.task: TaskID | None = None
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            # Last, and the one that a narrow terminal cuts.
            TextColumn(
                "{task.fields[status]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)
            ),
            expand=True,
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> "ConsoleListener":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def step(self, epoch: int, step: int, steps: int, losses: dict[str, float], photos_per_second: float) -> None:
        """Move the bar over the whole run, so that the time left is the run's."""
        status = " ".join(f"{name} {value:.2f}" for name, value in losses.items())
        done, total = epoch * steps + step, self.epochs() * steps
        if self.task is None:
            self.task = self.bar.add_task("", total=total, completed=done, status="")
        self.bar.update(
            self.task,
            completed=done,
            total=total,
            description=f"epoch {epoch + 1}/{self.epochs()}",
            status=f"{photos_per_second:.1f} img/s · loss {status}",
        )

    def epoch(self, row: Row) -> None:
        """One line: losses, validation top-1, speed."""
        losses = " ".join(f"{key.removeprefix('loss_')} {row[key]:.3f}" for key in row if key.startswith("loss_"))
        tops = " ".join(f"{key.removeprefix('top1_')} {row[key]:.1%}" for key in row if key.startswith("top1_"))
        console.print(
            f"epoch {row['epoch']:.0f}/{self.epochs()}  loss {losses}"
            + (f"  val top-1 {tops}" if tops else "")
            + f"  {row['photos_per_second']:.1f} img/s, {row['seconds']:.0f} s"
        )


def class_names(classes: Sequence[str], shown: int = 8) -> str:
    """The first names and how many there are: whoever sees `train, test` there has given the wrong folder."""
    more = f", ... ({len(classes)} classes)" if len(classes) > shown else ""
    return escaped(f"classes: {', '.join(classes[:shown])}{more}")


def heads_table(checkpoint: Path) -> Table | None:
    """Accuracy per head on the splits that the checkpoint's metrics have; None where it has none."""
    metrics = load_checkpoint(checkpoint).metrics
    splits = [split for split in ("val", "test") if split in metrics]
    if not splits:
        return None
    table = Table(title=f"epoch {metrics['epoch']} ({metrics['select']})")
    for column in ("split", "head", "top-1", "95 % interval", "top-5"):
        table.add_column(column, justify="left" if column in ("split", "head") else "right")
    for split in splits:
        photos = metrics[split]["photos"]
        for head, values in metrics[split]["heads"].items():
            low, high = interval(values["top1"], photos)
            table.add_row(
                f"{split} ({photos})",
                head,
                f"{values['top1']:.1%}",
                f"{low:.1%} .. {high:.1%}",
                f"{values['top5']:.1%}",
            )
        table.add_section()
    return table
