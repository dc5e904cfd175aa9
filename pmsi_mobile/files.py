"""Files: atomic writes (a reader sees the old file or the new one, never half of one), digests, sizes."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pmsi_mobile.errors import PmsiError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # Windows flushes only what is open for writing.
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        # A full disk is reported without a name.
        if error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path, photos: Path | None = None) -> None:
    """Raise PmsiError when nothing can be written in `folder`, which need not exist; leaves nothing behind.

    photos: a folder of photos that `folder` must not be in, for what is written would be taken for a class of it.
    """
    if photos and folder.resolve().is_relative_to(photos.resolve()):
        raise PmsiError(
            f"{folder} is inside {photos}, where it would be taken for a class of photos: choose another --output"
        )
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise PmsiError(
            f"nothing can be written in {existing} ({(error.strerror or str(error)).lower()}): choose another --output"
        ) from None


def check_photo_folder(path: Path) -> None:
    """Raise PmsiError when `path` is no folder."""
    if not path.is_dir():
        raise PmsiError(f"{path} is no folder: give the folder that holds the photos")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; of file names that are no text, the bytes as codes."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of everything in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
