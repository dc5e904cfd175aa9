"""From a folder on disk to labelled photos in training, validation and test splits."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path

from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.data.dataset import SPLITS, DataSet, Photo, content_digest, known_photos, load_data, save_data
from pmsi_mobile.data.duplicates import COPY_BITS, HASHED_SIDE, near_pairs, telling_hash
from pmsi_mobile.data.images import UnreadableImage, load_rgb
from pmsi_mobile.data.layouts import CLASS_FOLDERS, list_photos
from pmsi_mobile.data.notes import Note, enumerated, in_words, with_notes
from pmsi_mobile.data.official import Listing
from pmsi_mobile.errors import PmsiError

__all__ = [
    "DataSet",
    "Photo",
    "has_held_out",
    "known_photos",
    "load_data",
    "open_data",
    "photos_for_evaluation",
    "save_data",
]

Progress = Callable[[int, int], None]
Splits = dict[str, list[Photo]]
Hashes = dict[Path, int | None]
"""Perceptual hashes."""


def open_data(
    root: Path, *, val_fraction: float, test_fraction: float, seed: int, progress: Progress | None = None
) -> DataSet:
    """Find the layout of `root`, decode every photo once, and split.

    Layouts: see `pmsi_mobile/README.md`. Where there is no validation split, about `val_fraction` of the training
    photos are held out; of plain class folders about `test_fraction` too; one of each class at least, where there are
    enough. Which ones is a function of the seed and of each photo's content: more photos move none from one split to
    another, save the one that a class without a held-out photo had to give, which returns to training. Copies of
    training photos are left out of the other splits.
    Classes are the training split's sorted folder names, or the official label order. Unreadable photos are left out
    with a note. `progress(done, total)` counts decoded photos.
    Raises PmsiError for a folder that cannot be trained on, with the notes that may explain it.
    """
    listing = list_photos(root)
    skipped: tuple[str, ...] = ()
    try:
        _check_classes(listing, root)
        splits, skipped, hashes = _readable(listing, listing.classes, SPLITS, root, progress, hashed=True)
        _check_readable(listing, splits["train"])
    except PmsiError as error:
        raise with_notes(error, (*listing.notes, *skipped)) from None
    held = _hold_out(splits, listing, val_fraction, test_fraction, seed)
    photos, copies = _without_copies(held)
    wanted = {"val": val_fraction or "val" in listing.splits, "test": "test" in listing.splits}
    wanted["test"] = wanted["test"] or (test_fraction and listing.layout == CLASS_FOLDERS)
    absent = [
        note for split in ("val", "test") if wanted[split] for note in _absent(split, photos[split], listing.classes)
    ]
    return DataSet(
        root,
        listing.layout,
        listing.classes,
        **{split: tuple(photos[split]) for split in SPLITS},
        notes=(
            *listing.notes,
            *skipped,
            *copies,
            *_nearly_the_same(photos, hashes, root),
            *_alone(photos, listing.classes),
            *absent,
        ),
    )


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
    known: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """Photos of one split, labelled in the order of `classes` (a checkpoint's), and notes for the log.

    split: train, val, test, all, or auto: test where it has photos, else val. Held-out splits are those that
    `open_data` makes under the same fractions and seed, but a photo that the run `known` has (digest -> split) stays in
    the run's split: what was trained on is in no val or test. `root` need not have every class.
    Raises PmsiError for a class that `classes` lacks, and for a split without photos, with the notes that explain it.
    """
    check_split(split)
    known = known or {}
    candidates = ("test", "val") if split == "auto" else (split,)
    listing = list_photos(root, classes)
    try:
        _refuse_unknown(listing, classes, "the model")
    except PmsiError as error:
        raise with_notes(error, listing.notes) from None
    # The training split on disk may still have to give photos to validation, so it is never taken as it is.
    on_disk = [name for name in candidates if name != "train" and any(listing.splits.get(name, {}).values())]
    opened, skipped, _ = _readable(listing, classes, on_disk[:1] or SPLITS, root, progress)
    splits = opened if on_disk else _hold_out(opened, listing, val_fraction, test_fraction, seed)
    chosen, photos, trained = split, [photo for name in SPLITS for photo in splits.get(name, [])], 0
    if split == "all":
        trained = sum(known.get(photo.digest) == "train" for photo in photos)
    else:
        kept, moved = _as_in_the_run(splits, known, stay=bool(on_disk))
        chosen = next((name for name in candidates if kept.get(name)), candidates[0])
        photos, trained = kept.get(chosen, []), moved.get(chosen, 0)
    told = _told(chosen, trained)
    notes = (*listing.notes, *skipped, *told)
    if not photos:
        message = f"{root} has no readable photos in split {split}: choose another split, such as all"
        raise with_notes(PmsiError(message), notes)
    return tuple(photos), (*notes, *_absent(chosen, photos, classes))


def has_held_out(root: Path) -> bool:
    """Whether a test or val split is on disk. Raises PmsiError for a folder that has no photos."""
    splits = list_photos(root).splits
    return any(any(splits.get(name, {}).values()) for name in ("test", "val"))


def _check_classes(listing: Listing, root: Path) -> None:
    if "train" not in listing.splits:
        raise PmsiError(f"{root} has {' and '.join(listing.splits)} but no training photos: add train/")
    if len(listing.classes) < 2:
        raise PmsiError(
            f"{root} has {len(listing.classes)} class folders: a classifier needs at least two, "
            "each with its own photos"
        )
    _refuse_unknown(listing, listing.classes, "the training split")
    for name, paths in listing.splits["train"].items():
        if not paths:
            folder = (listing.training_folder or root) / name
            raise PmsiError(f"class {name} has no photos in {folder}: add JPEG or PNG files, or remove the folder")


def _check_readable(listing: Listing, train: list[Photo]) -> None:
    labels = {photo.label for photo in train}
    for label, name in enumerate(listing.classes):
        if label not in labels:
            raise PmsiError(
                f"class {name} has no readable photo in {listing.splits['train'][name][0].parent}: "
                "replace its photos or remove the folder"
            )


def _refuse_unknown(listing: Listing, classes: tuple[str, ...], owner: str) -> None:
    for split, photos in listing.splits.items():
        unknown = sorted(set(photos) - set(classes))
        if unknown:
            where = "" if listing.layout == CLASS_FOLDERS else f" in {split}"
            raise PmsiError(f"{enumerated(unknown)}{where}: no such class in {owner}; rename or remove the folder")


def _readable(
    listing: Listing,
    classes: tuple[str, ...],
    wanted: Iterable[str],
    root: Path,
    progress: Progress | None,
    *,
    hashed: bool = False,
) -> tuple[Splits, tuple[str, ...], Hashes]:
    """The photos of the `wanted` splits that can be decoded, class by class, a note per one that cannot, and, `hashed`,
    the hashes of the photos."""
    label_of = {name: label for label, name in enumerate(classes)}
    splits: Splits = {split: [] for split in wanted if split in listing.splits}
    candidates = [
        (split, label_of[name], path)
        for split in splits
        for name, paths in sorted(listing.splits[split].items(), key=lambda item: label_of[item[0]])
        for path in paths
    ]
    skipped = []
    hashes: Hashes = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        examined = pool.map(partial(_examine, hashed=hashed), (path for _, _, path in candidates))
        for done, ((split, label, path), found) in enumerate(zip(candidates, examined, strict=True), 1):
            reason, digest, hashes[path] = found
            if reason:
                skipped.append(Note("skipped", str(path.relative_to(root)), reason))
            else:
                splits[split].append(Photo(path, label, digest))
            if progress:
                progress(done, len(candidates))
    return splits, in_words(skipped), hashes


def _examine(path: Path, hashed: bool) -> tuple[str | None, str, int | None]:
    """Why a photo cannot be decoded, the digest of its bytes and, `hashed`, what it shows."""
    try:
        photo = load_rgb(path, HASHED_SIDE if hashed else 1)
    except UnreadableImage as error:
        return error.reason, "", None
    return None, content_digest(path), telling_hash(photo) if hashed else None


def _hold_out(splits: Splits, listing: Listing, val_fraction: float, test_fraction: float, seed: int) -> Splits:
    """All three splits: those on disk as they are, the others held out of the training split."""
    if "val" in listing.splits:
        val_fraction = 0
    if listing.layout != CLASS_FOLDERS:
        test_fraction = 0
    held: Splits = {split: list(splits.get(split, [])) for split in SPLITS if split != "train"} | {"train": []}
    for _, photos in groupby(splits.get("train", []), key=lambda photo: photo.label):
        for photo, split in _draw(list(photos), val_fraction, test_fraction, seed):
            held[split].append(photo)
    return held


def _draw(photos: list[Photo], val_fraction: float, test_fraction: float, seed: int) -> list[tuple[Photo, str]]:
    """The split of each photo of a class. Each has a number between 0 and 1 by its content: tests have those below
    `test_fraction`, validation has those at the other end.

    Where there is none, the next is taken, but training keeps one photo, then validation gets one, then the test.
    """
    numbers = [_number(photo, seed) for photo in photos]
    val = sum(number >= 1 - val_fraction for number in numbers)
    test = sum(number < test_fraction for number in numbers)
    val = min(max(val, 1), len(photos) - 1) if val_fraction else 0
    test = min(max(test, 1), len(photos) - 1 - val) if test_fraction else 0
    order = sorted(range(len(photos)), key=lambda index: numbers[index])
    ranks = dict(zip(order, range(len(photos)), strict=True))
    return [
        (photo, "test" if ranks[index] < test else "val" if ranks[index] >= len(photos) - val else "train")
        for index, photo in enumerate(photos)
    ]


def _number(photo: Photo, seed: int) -> float:
    digest = blake2b(f"{seed} {photo.digest}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _without_copies(splits: Splits) -> tuple[Splits, tuple[str, ...]]:
    """Without the val and test photos that are copies of training photos."""
    trained = {photo.digest for photo in splits["train"]}
    kept = {"train": splits["train"]}
    notes = []
    for split in ("val", "test"):
        kept[split] = [photo for photo in splits[split] if photo.digest not in trained]
        copies = [photo.path.name for photo in splits[split] if photo.digest in trained]
        if copies:
            notes.append(f"left out {len(copies)} {split} photos, copies of training photos: {enumerated(copies)}")
    return kept, tuple(notes)


def _nearly_the_same(photos: Splits, hashes: Hashes, root: Path) -> Iterator[str]:
    """A note for each held-out split that shows what training photos show."""
    trained = [hashes[photo.path] for photo in photos["train"]]
    for split in ("val", "test"):
        pairs = near_pairs([hashes[photo.path] for photo in photos[split]], trained)
        if pairs:
            held, train, bits = pairs[0]
            names = (photos[split][held].path, photos["train"][train].path)
            example = " and ".join(escaped(str(path.relative_to(root))) for path in names)
            count = len({held for held, _, _ in pairs})
            yield (
                f"{count} of {len(photos[split])} {split} photos are nearly training photos, which makes {split} "
                f"figures too good: {example}, for example ({bits} of 64 bits of their hashes differ, {COPY_BITS} at "
                "most); put shots of one thing into one split"
            )


def _as_in_the_run(splits: Splits, known: Mapping[str, str], *, stay: bool) -> tuple[Splits, dict[str, int]]:
    """The splits with each photo that a run knows where the run had it; how many of each had been trained on.

    stay: the splits are those of the disk, which lose what was trained on and change nothing else.
    """
    kept: Splits = defaultdict(list)
    moved: dict[str, int] = defaultdict(int)
    for split, photos in splits.items():
        for photo in photos:
            before = known.get(photo.digest, split)
            kept[split if stay and before != "train" else before].append(photo)
            moved[split] += split != "train" == before
    return {split: sorted(photos, key=lambda photo: photo.label) for split, photos in kept.items()}, moved


def _told(split: str, trained: int) -> tuple[str, ...]:
    if not trained:
        return ()
    if split == "all":
        return (f"{trained} of these photos were trained on: this is no test",)
    return (f"left out {trained} photos of split {split} that the run was trained on",)


def _alone(photos: Splits, classes: tuple[str, ...]) -> list[str]:
    """Of classes with a single photo in all."""
    counts = [0] * len(classes)
    for split in SPLITS:
        for photo in photos[split]:
            counts[photo.label] += 1
    alone = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if not alone:
        return []
    return [f"{len(alone)} of {len(classes)} classes have a single photo, nothing validates them: {enumerated(alone)}"]


def _absent(split: str, photos: Iterable[Photo], classes: tuple[str, ...]) -> list[str]:
    present = {photo.label for photo in photos}
    absent = [name for label, name in enumerate(classes) if label not in present]
    if not absent:
        return []
    if not present:
        return [f"{split} has no photos: add some, or make the folder {split}/ yourself"]
    return [f"{split} has no photos of {len(absent)} of {len(classes)} classes: {enumerated(absent)}"]
