"""The three benchmark data sets as their authors distribute them, with their official splits."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pmsi_mobile.errors import PmsiError

CUB, CARS, AIRCRAFT = "CUB-200-2011", "Stanford Cars", "FGVC-Aircraft"

ByClass = dict[str, list[Path]]


class Counts(NamedTuple):
    """Sizes of a data set."""

    classes: int
    train: int
    test: int


PUBLISHED = {CUB: Counts(200, 5994, 5794), CARS: Counts(196, 8144, 8041), AIRCRAFT: Counts(100, 6667, 3333)}


class Listing(NamedTuple):
    """What a folder holds before any photo is opened: class order, photo files by split and class, notes, and the
    folder of the training split's classes where they have one each."""

    layout: str
    classes: tuple[str, ...]
    splits: Mapping[str, ByClass]
    notes: tuple[str, ...] = ()
    training_folder: Path | None = None


def list_official(root: Path) -> Listing | None:
    """The listing of an official data set, recognised by its marker files; None where `root` is none of them.

    Raises PmsiError when its counts are not the published ones, a photo is missing, or a list cannot be read.
    """
    recognised = _recognise(root)
    if not recognised:
        return None
    layout, read, folder = recognised
    try:
        listing = read(folder)
    except (OSError, ValueError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise PmsiError(f"{root} looks like {layout}, but its lists are broken ({reason}): unpack it again") from None
    check_counts(listing, PUBLISHED[layout])
    _check_files(listing, root)
    return listing


def _recognise(root: Path) -> tuple[str, Callable[[Path], Listing], Path] | None:
    if (root / "train_test_split.txt").is_file() and (root / "images.txt").is_file():
        return CUB, list_cub, root
    if (root / "devkit" / "cars_meta.mat").is_file():
        return CARS, list_cars, root
    if (root / "cars_annos.mat").is_file() and (root / "car_ims").is_dir():
        return CARS, list_cars_in_one_folder, root
    for folder in (root / "data", root):
        if (folder / "images_variant_trainval.txt").is_file():
            return AIRCRAFT, list_aircraft, folder
    return None


def list_cub(root: Path) -> Listing:
    """CUB-200-2011 (Wah et al., 2011): classes in the order of classes.txt, named as there (`001.Black_footed_...`)."""
    names = _numbered(root / "classes.txt")
    images = _numbered(root / "images.txt")
    labels = _numbered(root / "image_class_labels.txt")
    in_training = _numbered(root / "train_test_split.txt")
    splits = {
        split: _group(
            names.values(),
            (
                (names[labels[image]], root / "images" / file)
                for image, file in images.items()
                if in_training[image] == flag
            ),
        )
        for split, flag in (("train", "1"), ("test", "0"))
    }
    return Listing(CUB, tuple(names.values()), splits)


def list_cars(root: Path) -> Listing:
    """Stanford Cars (Krause et al., 2013): classes in the order of cars_meta.mat, named as there.

    The test labels are a file of their own, cars_test_annos_withlabels.mat, in `root` or in devkit/.
    """
    devkit = root / "devkit"
    labelled = "cars_test_annos_withlabels.mat"
    test = root / labelled if (root / labelled).is_file() else devkit / labelled
    classes = tuple(str(name).strip() for name in _read_mat(devkit / "cars_meta.mat", "class_names"))
    splits = {}
    for split, annotations in (("train", devkit / "cars_train_annos.mat"), ("test", test)):
        rows = _read_mat(annotations, "annotations")
        photos = ((classes[int(row["class"]) - 1], root / f"cars_{split}" / str(row["fname"])) for row in rows)
        splits[split] = _group(classes, photos)
    return Listing(CARS, classes, splits)


def list_cars_in_one_folder(root: Path) -> Listing:
    """Stanford Cars in its other form: all photos in car_ims/, classes and splits in cars_annos.mat."""
    file = root / "cars_annos.mat"
    classes = tuple(str(name).strip() for name in _read_mat(file, "class_names"))
    rows = _read_mat(file, "annotations")
    splits = {
        split: _group(
            classes,
            (
                (classes[int(row["class"]) - 1], root / str(row["relative_im_path"]))
                for row in rows
                if bool(row["test"]) == (split == "test")
            ),
        )
        for split in ("train", "test")
    }
    return Listing(CARS, classes, splits)


def list_aircraft(folder: Path) -> Listing:
    """FGVC-Aircraft variants (Maji et al., 2013) in its data/ folder: classes in the order of variants.txt."""
    classes = tuple(_lines(folder / "variants.txt"))
    splits = {}
    for split, list_name in (("train", "images_variant_trainval.txt"), ("test", "images_variant_test.txt")):
        rows = (line.split(" ", 1) for line in _lines(folder / list_name))
        splits[split] = _group(classes, ((name, folder / "images" / f"{image}.jpg") for image, name in rows))
    return Listing(AIRCRAFT, classes, splits)


def check_counts(listing: Listing, expected: Counts) -> None:
    """Raise PmsiError unless the numbers of classes and of photos are the expected ones."""
    photos = {split: sum(map(len, by_class.values())) for split, by_class in listing.splits.items()}
    found = Counts(len(listing.classes), photos["train"], photos["test"])
    if found != expected:
        raise PmsiError(
            f"this {listing.layout} has {_in_words(found)}, but {_in_words(expected)} are published: unpack it again"
        )


def _in_words(counts: Counts) -> str:
    return f"{counts.classes} classes, {counts.train} training and {counts.test} test photos"


def _check_files(listing: Listing, root: Path) -> None:
    paths = [path for split in listing.splits.values() for photos in split.values() for path in photos]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise PmsiError(
            f"{len(missing)} of {len(paths)} photos of {listing.layout} are missing "
            f"(first: {missing[0].relative_to(root)}): unpack it again"
        )


def _read_mat(path: Path, variable: str) -> np.ndarray:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(path, squeeze_me=True)[variable]
    except MatReadError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _numbered(path: Path) -> dict[str, str]:
    """Lines `<number> <value>` as a dictionary in file order."""
    pairs = (line.partition(" ") for line in _lines(path))
    return {number: value for number, _, value in pairs}


def _group(classes: Iterable[str], photos: Iterable[tuple[str, Path]]) -> ByClass:
    """Photos by class, every class present, in the order of the lists. Raises KeyError for a label of no class."""
    by_class: ByClass = {name: [] for name in classes}
    for name, path in photos:
        by_class[name].append(path)
    return by_class
