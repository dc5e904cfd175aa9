"""Writes files in a hidden folder beside their place and renames them when they are complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

try:
    import fcntl
except ImportError:  # Windows: what a killed process leaves is not recognised there.
    fcntl = None  # type: ignore[assignment]

PREFIX = ".pmsi-export-"


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, gone at the end of the block. What killed processes left of theirs goes too.

    A process holds a lock on its folder, which ends with the process however that ends: no guess by age or number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    path, lock = _create(folder)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _unlock(lock)


def remove_abandoned(folder: Path) -> None:
    """Remove the folders of `staging` in `folder` whose processes are dead."""
    for path in folder.glob(f"{PREFIX}*"):
        lock = _lock(path, wait=False)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            _unlock(lock)


def put_in_place(staged: Path, target: Path) -> None:
    """Flush a file or folder of `staging` to disk and rename it over `target`, which is replaced.

    A folder cannot be renamed over another one: the earlier one goes first.
    """
    for part in (staged, *staged.rglob("*")):
        if part.is_file():
            with open(part, "r+b") as file:
                os.fsync(file.fileno())
    if target.is_dir():
        set_aside(target, staged.parent)
    os.replace(staged, target)


def set_aside(path: Path, folder: Path) -> None:
    """Move a file or folder, if there is one, into the folder of `staging`: it loses its name at once."""
    with suppress(FileNotFoundError):
        os.replace(path, folder / f"earlier-{path.name}")


def _create(folder: Path) -> tuple[Path, int | None]:
    while True:
        path = Path(mkdtemp(prefix=PREFIX, dir=folder))
        lock = _lock(path, wait=True)
        # Before it was locked another process may have taken it for abandoned.
        if path.exists():
            return path, lock
        _unlock(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """Lock a folder; None where another process has it, or the file system or the system knows no locks."""
    if fcntl is None:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        _unlock(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)
