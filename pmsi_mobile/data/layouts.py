"""What the folders of a data set mean: its splits, its classes, and what is only wrapped around them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.data.class_names import appearance, check_names, class_name, matched
from pmsi_mobile.data.dataset import SPLITS
from pmsi_mobile.data.files import (
    CIRCLE,
    DANGLING,
    Found,
    each_once,
    find_photos,
    has_photo,
    is_clutter,
    photos_in,
    subfolders,
)
from pmsi_mobile.data.notes import Note, enumerated, in_words, with_notes
from pmsi_mobile.data.official import ByClass, Listing, list_official
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import check_photo_folder

CLASS_FOLDERS = "class folders"
SPLIT_FOLDERS = "split folders"

_FILLER = r"(?:set|split|data|dataset|images?|imgs?|photos?|pictures?|pics?|jpe?gs?|folder)"
_SPLIT_NAME = re.compile(
    r"(?P<prefix>|.*?[\W_])(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))"
    rf"(?:[\W_]*(?:{_FILLER}|\d{{4}}))*[\W_]*"
)
_WRAPPER_NAME = re.compile(rf"(?:{_FILLER}[\W_]*)+")
_TABLES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet", ".xml"})


def list_photos(root: Path, classes: Sequence[str] = ()) -> Listing:
    """Class order, photo files by split and class, and notes; classes in the spelling of `classes` where these look
    the same. Raises PmsiError for a folder without photos, and for one whose levels cannot be told apart."""
    check_photo_folder(root)
    listing = list_official(root) or _list_folders(root, classes)
    if not any(paths for split in listing.splits.values() for paths in split.values()):
        message = f"{root} has no photos: put JPEG or PNG files in one folder per class ({root}/<class>/)"
        raise with_notes(PmsiError(message), listing.notes)
    check_names(listing.classes)
    return listing


def _list_folders(root: Path, classes: Sequence[str]) -> Listing:
    base = _unwrap(root, classes)
    folders = _split_folders(base)
    if not folders:
        _refuse_equal_levels(base, classes)
        return _listing(CLASS_FOLDERS, {"train": base}, root, classes, [])
    others = [folder for folder in _subfolders(base) if folder not in folders.values()]
    notes = [Note("ignored", f"folder {folder.relative_to(root)}", "not train, val or test") for folder in others]
    homes: dict[str, Path] = {}
    for split, folder in folders.items():
        homes[split] = _unwrap(folder, [*classes, *(name for home in homes.values() for name in _names(home))], True)
    _refuse_equal_levels(homes.get("train", base), classes)
    return _listing(SPLIT_FOLDERS, homes, root, classes, notes)


def _listing(layout: str, homes: Mapping[str, Path], root: Path, classes: Sequence[str], notes: list[Note]) -> Listing:
    """The classes in each split's folder, each photo once."""
    found: dict[tuple[str, str], Found] = {}
    tables: list[Note] = []
    for split, home in homes.items():
        strays = [Note("ignored", str(path.relative_to(root)), "not in a class folder") for path in photos_in(home)]
        notes = [*notes, *strays]
        for path in sorted(home.iterdir()):
            if path.suffix.lower() in _TABLES and not is_clutter(path.name):
                tables.append(
                    Note("ignored", str(path.relative_to(root)), "labels come from folders, tables are not read")
                )
        folders, lost = subfolders(home)
        notes += [Note("ignored", str(path.relative_to(root)), CIRCLE if path.exists() else DANGLING) for path in lost]
        check_names(folder.name for folder in folders)
        for folder in folders:
            found[split, class_name(folder.name)] = find_photos(folder, root)
    known = classes or [name for split, name in found if split == "train"]
    spelled = matched((name for _, name in found), known)
    splits: dict[str, ByClass] = {split: {} for split in homes}
    for (split, name), part in zip(found, each_once(list(found.values()), root), strict=True):
        splits[split][spelled[name]] = part.photos
        notes = [*notes, *part.notes]
    if not any(part.photos for part in found.values()) or any(note.reason.startswith("not in a") for note in notes):
        notes = [*notes, *tables]
    return Listing(layout, tuple(sorted(splits.get("train", {}))), splits, in_words(notes), homes.get("train", root))


def _split_folders(base: Path) -> dict[str, Path]:
    """The folders of `base` that are splits; none where they are classes, one of which may be called `train`."""
    groups: dict[str, dict[str, Path]] = {}
    for folder in sorted(_subfolders(base), key=lambda folder: (len(folder.name), folder.name)):
        match = _SPLIT_NAME.fullmatch(folder.name.lower())
        split = next((split for split in SPLITS if match and match[split]), None)
        if match and split and _holds_classes(folder):
            groups.setdefault(match["prefix"], {}).setdefault(split, folder)
    plain = groups.pop("", {})
    prefixed = next((group for group in groups.values() if "train" in group and len(group) > 1), {})
    chosen = plain or prefixed
    others = (folder for folder in _subfolders(base) if folder not in chosen.values())
    if len(chosen) == 1 and any(map(photos_in, others)):
        return {}
    return {split: chosen[split] for split in SPLITS if split in chosen}


def _holds_classes(folder: Path) -> bool:
    """Photos lie in folders of `folder`, or it is empty."""
    return any(map(has_photo, _subfolders(folder))) or not has_photo(folder)


def _unwrap(folder: Path, classes: Sequence[str], inside_split: bool = False) -> Path:
    """The first folder below which there is more than one folder with photos, or classes."""
    known = set(map(appearance, classes))
    while True:
        inner = [each for each in _subfolders(folder) if has_photo(each)]
        if len(inner) != 1 or photos_in(inner[0]) or appearance(inner[0].name) in known:
            return folder
        if not inside_split and _split_folders(folder):
            return folder
        folder = inner[0]


def _refuse_equal_levels(base: Path, classes: Sequence[str]) -> None:
    """Where each folder has the same folders in it, one level are the classes, and which one cannot be told."""
    folders = [folder for folder in _subfolders(base) if has_photo(folder)]
    known = set(map(appearance, classes))
    if len(folders) < 2 or any(map(photos_in, folders)) or known.issuperset(appearance(f.name) for f in folders):
        return
    inner = [{class_name(each.name) for each in _subfolders(folder) if has_photo(each)} for folder in folders]
    same = set.intersection(*inner)
    if all(names == same for names in inner) and not all(map(_WRAPPER_NAME.fullmatch, map(str.lower, same))):
        raise PmsiError(
            f"each folder of {escaped(str(base))} ({enumerated([folder.name for folder in folders])}) holds the same "
            f"folders ({enumerated(sorted(same))}), and either could be the classes: make one folder per class, or "
            "train/, val/ and test/ with the class folders in each"
        )


def _names(home: Path) -> list[str]:
    return [folder.name for folder in _subfolders(home)]


def _subfolders(folder: Path) -> list[Path]:
    return subfolders(folder)[0]
