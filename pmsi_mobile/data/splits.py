"""From a folder on disk to labelled photos in training, validation and test splits."""

import json
import os
import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pmsi_mobile.data.images import IMAGE_SUFFIXES, check_image, is_clutter
from pmsi_mobile.data.official import ByClass, Listing, list_official
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import write_text

CLASS_FOLDERS = "class folders"
SPLIT_FOLDERS = "split folders"
SPLITS = ("train", "val", "test")

_SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}

Progress = Callable[[int, int], None]


class Photo(NamedTuple):
    """A photo file and the index of its class."""

    path: Path
    label: int


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


def open_data(
    root: Path, *, val_fraction: float, test_fraction: float, seed: int, progress: Progress | None = None
) -> DataSet:
    """Find the layout of `root`, decode every photo once, and split.

    Layouts: CUB-200-2011, Stanford Cars, FGVC-Aircraft; `train/` with optional `val/` (`valid/`, `validation/`) and
    `test/`; else class folders. Where there is no validation split, `val_fraction` of each training class is held out;
    of plain class folders `test_fraction` too. The split is a function of the seed and the readable files.
    Classes are the training split's sorted folder names, or the official label order. Unreadable photos are left out
    with a note. `progress(done, total)` counts decoded photos.
    Raises PmsiError for a folder that cannot be trained on.
    """
    listing = _list_photos(root)
    if len(listing.classes) < 2:
        raise PmsiError(
            f"{root} has {len(listing.classes)} class folders: a classifier needs at least two, "
            "each with its own photos"
        )
    _refuse_unknown(listing, listing.classes, "the training split")
    for name, paths in listing.splits["train"].items():
        if not paths:
            raise PmsiError(
                f"class {name} has no photos in {_train_folder(root) / name}: "
                "add JPEG or PNG files, or remove the folder"
            )
    readable, skipped = _readable(listing.splits, root, progress)
    for name, paths in readable["train"].items():
        if not paths:
            raise PmsiError(
                f"class {name} has no readable photo in {listing.splits['train'][name][0].parent}: "
                "replace its photos or remove the folder"
            )
    splits = _complete(readable, listing.layout, val_fraction, test_fraction, seed)
    absent = [note for split in ("val", "test") for note in _absent(split, splits[split], listing.classes)]
    photos = {split: _label(splits[split], listing.classes) for split in SPLITS}
    return DataSet(root, listing.layout, listing.classes, **photos, notes=(*listing.notes, *skipped, *absent))


def check_split(name: str) -> None:
    """Raise PmsiError for what `photos_for_evaluation` takes for no split."""
    if name not in (*SPLITS, "all", "auto"):
        raise PmsiError(f"no split is called {name}: choose train, val, test, all or auto")


def photos_for_evaluation(
    root: Path,
    classes: tuple[str, ...],
    split: str,
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    progress: Progress | None = None,
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Photos of one split, labelled in the order of `classes` (a checkpoint's), and notes for the log.

    split: train, val, test, all, or auto: test where it has photos, else val. Held-out splits are those that
    `open_data` makes under the same fractions and seed. `root` need not have every class.
    Raises PmsiError for a class that `classes` lacks, and for a split without photos.
    """
    check_split(split)
    candidates = ("test", "val") if split == "auto" else (split,)
    listing = _list_photos(root)
    _refuse_unknown(listing, classes, "the checkpoint")
    # The training split on disk may still have to give photos to validation, so it is never taken as it is.
    on_disk = [name for name in candidates if name != "train" and any(listing.splits.get(name, {}).values())]
    if on_disk:
        chosen = on_disk[0]
        splits, skipped = _readable({chosen: listing.splits[chosen]}, root, progress)
    else:
        readable, skipped = _readable(listing.splits, root, progress)
        splits = _complete(readable, listing.layout, val_fraction, test_fraction, seed)
        chosen = next((name for name in candidates if any(splits.get(name, {}).values())), split)
    photos = tuple(
        photo for name in (SPLITS if split == "all" else (chosen,)) for photo in _label(splits.get(name, {}), classes)
    )
    if not photos:
        raise PmsiError(f"{root} has no readable photos in split {split}: choose another split, such as all")
    found = {classes[photo.label]: [photo.path] for photo in photos}
    return photos, (*listing.notes, *skipped, *_absent(chosen, found, classes))


def has_held_out(root: Path) -> bool:
    """Whether a test or val split is on disk. Raises PmsiError for a folder that has no photos."""
    splits = _list_photos(root).splits
    return any(any(splits.get(name, {}).values()) for name in ("test", "val"))


def save_data(data: DataSet, path: Path) -> None:
    """Record which photo is in which split, as JSON with paths relative to the root, atomically."""
    record = {
        "root": str(data.root.absolute()),
        "layout": data.layout,
        "classes": data.classes,
        "notes": data.notes,
        **{
            split: {photo.path.relative_to(data.root).as_posix(): photo.label for photo in photos}
            for split, photos in (("train", data.train), ("val", data.val), ("test", data.test))
        },
    }
    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def load_data(path: Path, root: Path | None = None) -> DataSet:
    """Read the record of `save_data`; `root` is where the photos are now [default: where they were].

    Raises PmsiError when the record cannot be read or a photo of it is gone.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        base = root or Path(record["root"])
        photos = {split: tuple(Photo(base / name, label) for name, label in record[split].items()) for split in SPLITS}
        data = DataSet(base, record["layout"], tuple(record["classes"]), **photos, notes=tuple(record["notes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PmsiError(f"{path} is no record of a data set ({type(error).__name__}): start a new run") from None
    gone = next((photo.path for photo in (*data.train, *data.val, *data.test) if not photo.path.is_file()), None)
    if gone:
        raise PmsiError(f"{gone} is recorded in {path} but gone: give the folder the run was started with")
    return data


def _list_photos(root: Path) -> Listing:
    if not root.is_dir():
        raise PmsiError(f"{root} is no folder: give the folder that holds the photos")
    listing = list_official(root) or _list_folders(root)
    if not any(paths for split in listing.splits.values() for paths in split.values()):
        raise PmsiError(f"{root} has no photos: put JPEG or PNG files in one folder per class ({root}/<class>/)")
    return listing


def _list_folders(root: Path) -> Listing:
    folders = {split: folder for split in SPLITS if (folder := _split_folder(root, split))}
    if "train" not in folders:
        photos, notes = _list_classes(root, root)
        return Listing(CLASS_FOLDERS, tuple(sorted(photos)), {"train": photos}, notes)
    others = [folder for folder in _folders(root) if folder not in folders.values()]
    notes = tuple(f"ignored folder {folder.name}: not train, val or test" for folder in others)
    splits: dict[str, ByClass] = {}
    for split, folder in folders.items():
        splits[split], more = _list_classes(folder, root)
        notes += more
    return Listing(SPLIT_FOLDERS, tuple(sorted(splits["train"])), splits, notes)


def _split_folder(root: Path, split: str) -> Path | None:
    # Any case: a folder Train/ must not become a class of that name.
    found = {folder.name.lower(): folder for folder in _folders(root)}
    return next((found[name] for name in _SPLIT_NAMES[split] if name in found), None)


def _train_folder(root: Path) -> Path:
    return _split_folder(root, "train") or root


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))


def _list_classes(folder: Path, root: Path) -> tuple[ByClass, tuple[str, ...]]:
    """Image files by class folder, sorted, and a note per file that is passed over."""
    photos: ByClass = {}
    notes = [
        f"ignored {path.relative_to(root)}: not in a class folder"
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not is_clutter(path.name)
    ]
    for class_folder in _folders(folder):
        files = [
            path
            for path in sorted(class_folder.rglob("*"))
            if path.is_file() and not any(map(is_clutter, path.relative_to(class_folder).parts))
        ]
        photos[class_folder.name] = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
        notes += [
            f"ignored {path.relative_to(root)}: {_why_not_image(path)}"
            for path in files
            if path.suffix.lower() not in IMAGE_SUFFIXES
        ]
    return photos, tuple(notes)


def _why_not_image(path: Path) -> str:
    if path.suffix.lower() in {".heic", ".heif"}:
        return "HEIC is not supported, convert it to JPEG"
    return "not an image file"


def _refuse_unknown(listing: Listing, classes: tuple[str, ...], owner: str) -> None:
    for split, photos in listing.splits.items():
        unknown = sorted(set(photos) - set(classes))
        if unknown:
            where = "" if listing.layout == CLASS_FOLDERS else f" in {split}"
            raise PmsiError(f"{', '.join(unknown)}{where}: no such class in {owner}; rename or remove the folder")


def _readable(
    splits: Mapping[str, ByClass], root: Path, progress: Progress | None
) -> tuple[dict[str, ByClass], list[str]]:
    """The photos that can be decoded, and a note per one that cannot."""
    paths = [path for split in splits.values() for photos in split.values() for path in photos]
    reasons: dict[Path, str | None] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, reason in zip(paths, pool.map(check_image, paths), strict=True):
            reasons[path] = reason
            if progress:
                progress(len(reasons), len(paths))
    readable = {
        split: {name: [path for path in photos if not reasons[path]] for name, photos in by_class.items()}
        for split, by_class in splits.items()
    }
    notes = [f"skipped {path.relative_to(root)}: {reason}" for path, reason in reasons.items() if reason]
    return readable, notes


def _complete(
    splits: Mapping[str, ByClass], layout: str, val_fraction: float, test_fraction: float, seed: int
) -> dict[str, ByClass]:
    """All three splits: those on disk as they are, the others held out of the training split."""
    val_fraction = 0 if "val" in splits else val_fraction
    test_fraction = test_fraction if layout == CLASS_FOLDERS else 0
    parts = {
        name: _hold_out(paths, val_fraction, test_fraction, random.Random(f"{seed} {name}"))
        for name, paths in splits["train"].items()
    }
    held = {split: {name: part[split] for name, part in parts.items()} for split in SPLITS}
    return held | {split: photos for split, photos in splits.items() if split != "train"}


def _hold_out(
    paths: list[Path], val_fraction: float, test_fraction: float, draw: random.Random
) -> dict[str, list[Path]]:
    """One class in three parts. Training keeps a photo, then validation gets one, then test."""
    order = draw.sample(paths, len(paths))
    val = _share(len(paths), val_fraction, len(paths) - 1)
    test = _share(len(paths), test_fraction, len(paths) - 1 - val)
    # From both ends, so that the test part does not depend on the validation fraction.
    held = {"val": set(order[:val]), "test": set(order[len(paths) - test :])}
    parts = {split: [path for path in paths if path in chosen] for split, chosen in held.items()}
    return parts | {"train": [path for path in paths if path not in held["val"] | held["test"]]}


def _share(photos: int, fraction: float, most: int) -> int:
    return min(max(1, round(photos * fraction)), max(most, 0)) if fraction else 0


def _absent(split: str, photos: ByClass, classes: tuple[str, ...]) -> list[str]:
    absent = [name for name in classes if not photos.get(name)]
    if not absent or len(absent) == len(classes):
        return []
    return [f"{split} has no photos of {len(absent)} of {len(classes)} classes: {', '.join(absent)}"]


def _label(photos: ByClass, classes: tuple[str, ...]) -> tuple[Photo, ...]:
    return tuple(Photo(path, label) for label, name in enumerate(classes) for path in photos.get(name, []))
