"""Cross-validation: every labelled photo of a data set is in the test split of exactly one fold."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pmsi_mobile.data.duplicates import near_pairs, perceptual_hash
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.splits import DataSet, Photo
from pmsi_mobile.errors import PmsiError

NEAR_BITS = 16
"""Two photos of a class whose perceptual hashes differ in no more of 64 bits are near-duplicates: shots of a series."""


def make_folds(
    data: DataSet, count: int, progress: Callable[[int, int], None] | None = None
) -> tuple[list[DataSet], int]:
    """The photos of all splits of `data` in `count` data sets, without a validation split, and how many photos have a
    near-duplicate.

    Near-duplicates are in one fold. Classes are spread evenly. The folds are a function of the photos' content and
    names, without a seed. Raises PmsiError for fewer than two folds and for a class with fewer groups than folds,
    which would have nothing to train on in one of them.
    """
    if count < 2:
        raise PmsiError(f"{count} folds: cross-validation needs at least two")
    photos = (*data.train, *data.val, *data.test)
    hashes = _hashes(photos, progress)
    fold_of: dict[Photo, int] = {}
    sizes: Counter[int] = Counter()
    repeated = 0
    for label, name in enumerate(data.classes):
        members = [index for index, photo in enumerate(photos) if photo.label == label]
        groups = _groups([hashes[index] for index in members])
        repeated += sum(len(group) for group in groups if len(group) > 1)
        if len(groups) < count:
            raise PmsiError(
                f"class {name} has {len(groups)} photos that are no near-duplicates: {count} folds need as many"
            )
        in_class: Counter[int] = Counter()
        for group in sorted(groups, key=len, reverse=True):
            fold = min(range(count), key=lambda number: (in_class[number], sizes[number], number))
            in_class[fold] += len(group)
            sizes[fold] += len(group)
            fold_of |= {photos[members[index]]: fold for index in group}
    folds = []
    for number in range(count):
        test = tuple(photo for photo in photos if fold_of[photo] == number)
        train = tuple(photo for photo in photos if fold_of[photo] != number)
        folds.append(replace(data, train=train, val=(), test=test))
    return folds, repeated


def _hashes(photos: Sequence[Photo], progress: Callable[[int, int], None] | None) -> list[int]:
    hashes = []
    for photo in photos:
        hashes.append(perceptual_hash(load_rgb(photo.path)))
        if progress:
            progress(len(hashes), len(photos))
    return hashes


def _groups(hashes: Sequence[int]) -> list[list[int]]:
    """Indices of photos that near-duplicates connect, as lists in order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second, _ = np.transpose(near_pairs(hashes, hashes, NEAR_BITS))
    near = coo_array((np.ones(len(first)), (first, second)), shape=(len(hashes), len(hashes)))
    count, component = connected_components(near, directed=False)
    return [np.flatnonzero(component == number).tolist() for number in range(count)]
