"""Folders that one process at a time works in, also of several machines that share them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder are not told from each other there.
    fcntl = None  # type: ignore[assignment]

from pmsi_mobile.errors import PmsiError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a sweep; the system gives it free when the process ends, however that ends.

    Raises PmsiError while another process holds it.
    """
    with _lock_file(folder) as file:
        if not _take(file):
            raise PmsiError(f"another pmsi-sweep is at work in {folder}: wait for it, or choose another --output")
        yield


@contextmanager
def in_turn(folder: Path) -> Iterator[tuple[int, ...]]:
    """Hold the folder of a run, once nobody else does. Yields descriptors for a child process (`pass_fds` of Popen):
    with them it holds the folder too, and goes on to hold it when this process is killed."""
    with _lock_file(folder) as file:
        while not _take(file):
            time.sleep(0.2)
        yield (file.fileno(),) if fcntl else ()


def _lock_file(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return open(folder / ".lock", "w")


def _take(file: IO[str]) -> bool:
    """Whether nobody else holds the file; raises OSError where the file system knows no locks."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
