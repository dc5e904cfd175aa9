"""Signs of life on stderr: progress bars, and a line while something large is imported."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pmsi_mobile.console.terminal import plain_console


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback `(done, total)` that moves a bar on stderr; it does nothing where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = plain_console(err=True)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def loading_pytorch() -> None:
    """Say that PyTorch is about to be imported, which takes seconds; nothing where stderr is no terminal."""
    if sys.stderr.isatty() and "torch" not in sys.modules:
        print("loading PyTorch ...", file=sys.stderr, flush=True)
