"""Which files of a folder are photos: one rule for training, evaluation, calibration and prediction."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pmsi_mobile.data.notes import Note, in_words, with_notes
from pmsi_mobile.errors import PmsiError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"}
    | {".avif", ".heic", ".heif", ".hif"}
)
HEIF = "HEIF"
DANGLING, CIRCLE = "a link to nothing", "a link to a folder that it is in"

# Of file servers (Synology, QNAP, NetApp), operating systems and programs; hidden names come on top.
_CLUTTER = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "@__thumb", "#recycle", "#snapshot"),
        *("~snapshot", "$recycle.bin", "recycler", "system volume information", "lost+found", "__macosx", "icon\r"),
        *("network trash folder", "temporary items", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        *("zbthumbnail.info", "picasa.ini", "__pycache__"),
    }
)
_RESCUED = re.compile(r"found\.\d{3}")  # by Windows' chkdsk
_COPY = re.compile(r"(~|\.(bak|old|orig|tmp|part|partial|crdownload)|_original)$", re.IGNORECASE)
_RAW = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"})
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


class Found(NamedTuple):
    """Photo files below a folder, sorted; those of them that are reached through a link; what is passed over.

    Hidden files and clutter are passed over without a note.
    """

    photos: list[Path]
    linked: frozenset[Path]
    notes: list[Note]


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left by an operating system, a file server or a program."""
    low = name.lower()
    return name.startswith(".") or low in _CLUTTER or bool(_RESCUED.fullmatch(low))


def find_photos(folder: Path, root: Path) -> Found:
    """The photos below `folder`, by their suffix or else by their content. Links are followed, loops are ended.

    Notes name files relative to `root`. Files that links lead to twice are listed twice: see `each_once`.
    """
    photos: list[Path] = []
    linked: set[Path] = set()
    notes: list[Note] = []
    for path, through_link, trouble in _walk(folder, (os.path.realpath(folder),), folder.is_symlink()):
        reason = trouble or _why_not_photo(path)
        if reason:
            notes.append(Note("ignored", str(path.relative_to(root)), reason))
            continue
        photos.append(path)
        if through_link:
            linked.add(path)
    return Found(sorted(photos), frozenset(linked), sorted(notes))


def photos_in(folder: Path) -> list[Path]:
    """The photos that lie in `folder` itself, sorted."""
    files = (path for path in sorted(folder.iterdir()) if not is_clutter(path.name) and path.is_file())
    return [path for path in files if not _why_not_photo(path)]


def has_photo(folder: Path) -> bool:
    """Whether there is a photo anywhere below."""
    walk = _walk(folder, (os.path.realpath(folder),), False)
    return any(not trouble and not _why_not_photo(path) for path, _, trouble in walk)


def each_once(found: Sequence[Found], root: Path) -> list[Found]:
    """Without the links to a file that is listed at its own place, or by an earlier link."""
    if not any(part.linked for part in found):
        return list(found)
    at_home = (path for part in found for path in part.photos if path not in part.linked)
    owners = {os.path.realpath(path): path for path in at_home}
    kept = []
    for part in found:
        photos, notes = [], list(part.notes)
        for path in part.photos:
            owner = owners.setdefault(os.path.realpath(path), path) if path in part.linked else path
            if owner == path:
                photos.append(path)
            else:
                notes.append(Note("ignored", str(path.relative_to(root)), "a link to a photo that is listed already"))
        kept.append(Found(photos, part.linked, notes))
    return kept


def list_images(folder: Path) -> list[Path]:
    """Every photo below `folder`, sorted, each once. Raises PmsiError for none, with what was passed over."""
    return list_images_and_notes(folder)[0]


def list_images_and_notes(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The same, and a note per file that is passed over."""
    (found,) = each_once([find_photos(folder, folder)], folder)
    notes = in_words(found.notes)
    if not found.photos:
        raise with_notes(PmsiError(f"folder {folder} has no photos: give one with JPEG, PNG or HEIC files"), notes)
    return found.photos, notes


def sniff(path: Path) -> str | None:
    """The image format that the first bytes of a file say; None for another kind of file, or an unreadable one."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return None
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            return name
    if start[4:8] == b"ftyp":
        return HEIF if start[8:12] in _HEIF_BRANDS else "AVIF" if start[8:12] in _AVIF_BRANDS else None
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    return "BMP" if start[:2] == b"BM" and start[6:10] == bytes(4) else None


def _why_not_photo(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if _COPY.search(path.name):
        return "a backup or an unfinished copy"
    if suffix in _RAW:
        return "camera raw is not supported, convert it to JPEG"
    return None if suffix in IMAGE_SUFFIXES or sniff(path) else "not an image file"


def subfolders(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders in `folder`, sorted, and the links in it that lead nowhere, or around in a circle."""
    folders, lost = [], []
    for path in sorted(folder.iterdir()):
        if is_clutter(path.name):
            continue
        if path.is_symlink() and (not path.exists() or _is_around(os.path.realpath(path), (os.path.realpath(folder),))):
            lost.append(path)
        elif path.is_dir():
            folders.append(path)
    return folders, lost


def _walk(folder: Path, trail: tuple[str, ...], linked: bool) -> Iterator[tuple[Path, bool, str | None]]:
    """Files below `folder`, whether a link led there, and why one cannot be used. `trail`: the real folders around."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield folder, linked, (error.strerror or "unreadable").lower()
        return
    for entry in entries:
        path = folder / entry.name
        if is_clutter(entry.name):
            continue
        if entry.is_symlink() and not path.exists():
            yield path, True, DANGLING
            continue
        through_link = linked or entry.is_symlink()
        if path.is_dir():
            real = os.path.realpath(path)
            if _is_around(real, trail):
                yield path, through_link, CIRCLE
            else:
                yield from _walk(path, (*trail, real), through_link)
        elif path.is_file():
            yield path, through_link, None


def _is_around(real: str, trail: tuple[str, ...]) -> bool:
    return any(inner == real or inner.startswith(real.rstrip(os.sep) + os.sep) for inner in trail)
