"""Labelled photos by split, and their record in a run's data.json."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pmsi_mobile.config import MOST_CLASSES
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import write_text

SPLITS = ("train", "val", "test")
DIGEST_BYTES = 8
_DIGEST = re.compile(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
LARGEST_RECORD = 1 << 30
"""Bytes of a data.json: a photo takes about 150."""


class Photo(NamedTuple):
    """A photo file, the index of its class, and the digest of its bytes ("" where it is not known)."""

    path: Path
    label: int
    digest: str = ""


@dataclass(frozen=True)
class DataSet:
    """Readable photos by split; labels index `classes`; `notes` are lines for the log."""

    root: Path
    layout: str
    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    val: tuple[Photo, ...]
    test: tuple[Photo, ...]
    notes: tuple[str, ...]


def content_digest(path: Path) -> str:
    """16 hexadecimal digits that are the same for every copy of a file, whatever its name."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).hexdigest()


def save_data(data: DataSet, path: Path) -> None:
    """Record which photo is in which split, as JSON with paths relative to the root, atomically."""
    photos = {split: {_name(photo, data.root): photo for photo in getattr(data, split)} for split in SPLITS}
    record = {
        "root": str(data.root.absolute()),
        "layout": data.layout,
        "classes": data.classes,
        "notes": data.notes,
        **{split: {name: photo.label for name, photo in named.items()} for split, named in photos.items()},
        "digests": {name: photo.digest for named in photos.values() for name, photo in named.items() if photo.digest},
    }
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def load_data(path: Path, root: Path | None = None) -> DataSet:
    """Read the record of `save_data`; `root` is where the photos are now [default: where they were].

    Raises PmsiError when the record cannot be read or a photo of it is gone.
    """
    data = _read_record(path, root)
    gone = next((photo.path for photo in (*data.train, *data.val, *data.test) if not photo.path.is_file()), None)
    if gone:
        raise PmsiError(f"{gone} is recorded in {path} but gone: give the folder the run was started with")
    return data


def recorded_splits(path: Path, root: Path | None = None) -> dict[str, str]:
    """The split of each photo in a record, by digest; what the run trained on counts as trained on.

    Records of earlier versions have no digests: their photos are read again, where they are still there.
    Raises PmsiError when the record cannot be read.
    """
    data = _read_record(path, root)
    splits = {}
    for split in reversed(SPLITS):
        for photo in getattr(data, split):
            if photo.digest or photo.path.is_file():
                splits[photo.digest or content_digest(photo.path)] = split
    return splits


def recorded_photos(path: Path, classes: tuple[str, ...]) -> dict[str, tuple[Photo, ...]]:
    """The photos of each split in a record, whether they are still there or not; none where it cannot be read or is of
    other classes."""
    try:
        data = _read_record(path, None)
    except PmsiError:
        data = None
    same = data is not None and data.classes == classes
    return {split: getattr(data, split) if same else () for split in SPLITS}


def known_photos(record: Path, classes: tuple[str, ...], trained_on: frozenset[str]) -> dict[str, str]:
    """The split of each photo that a run knows, by digest.

    As the run's data.json says; where that is gone or of another run, as its checkpoint says what it was `trained_on`
    (which checkpoints of earlier versions do not). Raises PmsiError for a record that cannot be read where nothing
    else says what was trained on.
    """
    try:
        same = _read_record(record, None).classes == classes
        splits = recorded_splits(record) if same else {}
    except PmsiError:
        if record.exists() and not trained_on:
            raise
        splits = {}
    if trained_on and trained_on != {digest for digest, split in splits.items() if split == "train"}:
        return dict.fromkeys(trained_on, "train")
    return splits


def _read_record(path: Path, root: Path | None) -> DataSet:
    try:
        if path.stat().st_size > LARGEST_RECORD:
            raise ValueError(f"it has more than {LARGEST_RECORD >> 20} MB")
        record = json.loads(path.read_text(encoding="utf-8"))
        _check_record(record)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PmsiError(f"{path} is no record of a data set ({why}): start a new run") from None
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise PmsiError(f"{path} is no record of a data set ({why}): restore it, or remove it") from None
    base = root or Path(record["root"])
    digests = record.get("digests", {})
    photos = {
        split: tuple(Photo(base / name, label, digests.get(name, "")) for name, label in record[split].items())
        for split in SPLITS
    }
    return DataSet(base, record["layout"], tuple(record["classes"]), **photos, notes=tuple(record["notes"]))


def _check_record(record: Any) -> None:
    """Raise ValueError for what `save_data` does not write. Not pydantic's work: names of files need not be text that
    it takes."""
    digests = record.get("digests", {}) if isinstance(record, dict) else None
    if not isinstance(digests, dict) or not record.keys() >= {"root", "layout", "classes", "notes", *SPLITS}:
        raise ValueError("a part of it is missing")
    if not all(isinstance(record[key], str) for key in ("root", "layout")):
        raise ValueError("root and layout are not texts")
    for key in ("classes", "notes"):
        if not isinstance(record[key], list) or not all(isinstance(line, str) for line in record[key]):
            raise ValueError(f"{key} is no list of texts")
    classes = len(record["classes"])
    if not 1 <= classes <= MOST_CLASSES or len(set(record["classes"])) < classes:
        raise ValueError(f"classes are not 1 to {MOST_CLASSES} different names")
    seen: set[str] = set()
    for split in SPLITS:
        if not isinstance(record[split], dict):
            raise ValueError(f"{split} does not name photos with their classes")
        for name, label in record[split].items():
            if type(label) is not int or not 0 <= label < classes:
                raise ValueError(f"{name} in {split} has the class {label!r:.20} of {classes}")
            if name in seen or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{name} in {split} is listed twice, or not in the folder of the photos")
            seen.add(name)
    if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests.values()):
        raise ValueError("a digest is not 16 hexadecimal digits")


def _name(photo: Photo, root: Path) -> str:
    return photo.path.relative_to(root).as_posix()
