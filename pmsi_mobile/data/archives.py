"""Unpacking archives from elsewhere: regular files alone, nothing outside of the folder, no more than is expected."""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pmsi_mobile.data.files import is_clutter
from pmsi_mobile.errors import PmsiError

LARGEST = 16 << 30
"""Bytes that an archive may inflate to: several times the largest of the benchmark data sets."""
_GZIP = b"\x1f\x8b"
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)

Progress = Callable[[int, int], None]


def unpack(archive: Path, folder: Path, progress: Progress = lambda done, total: None) -> None:
    """Write the regular files of a .tar, .tar.gz, .tgz or .zip into `folder`; links, devices and clutter are left out.

    progress: called with the bytes of the archive that are read, and all of them. Raises PmsiError for what is no
    archive, is damaged, has an entry outside of itself, or inflates to more than LARGEST.
    """
    writer = _Writer(archive, folder)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, writer, progress)
        else:
            _unpack_tar(archive, writer, progress)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PmsiError(f"{archive} is no archive, or damaged ({reason}): download it again") from None


class _Writer:
    """Writes the entries of one archive, and holds them to its bounds."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self.archive = archive
        self.folder = folder
        self.written = 0

    def write(self, name: str, size: int, content: IO[bytes]) -> None:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name:
            raise PmsiError(f"{self.archive} has an entry outside of itself ({name!r}): it is not what it says")
        if any(map(is_clutter, parts)):
            return
        self.written += size
        if self.written > LARGEST:
            raise PmsiError(f"{self.archive} inflates to more than {LARGEST >> 30} GiB: it is not what it says")
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            shutil.copyfileobj(content, file)


def _unpack_tar(archive: Path, writer: _Writer, progress: Progress) -> None:
    total = archive.stat().st_size
    with open(archive, "rb") as raw:
        compressed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
        with tarfile.open(fileobj=stream, mode="r|") as entries:
            for entry in entries:
                if entry.isfile():
                    content = entries.extractfile(entry)
                    assert content is not None
                    writer.write(entry.name, entry.size, content)
                progress(raw.tell(), total)
        # To the end, where the checksum is.
        while stream.read(1 << 20):
            pass


def _unpack_zip(archive: Path, writer: _Writer, progress: Progress) -> None:
    with zipfile.ZipFile(archive) as entries:
        files = [entry for entry in entries.infolist() if not entry.is_dir()]
        total, done = sum(entry.compress_size for entry in files), 0
        for entry in files:
            with entries.open(entry) as content:
                writer.write(entry.filename, entry.file_size, content)
            done += entry.compress_size
            progress(done, total)
