"""Which photos show what goes wrong, as indices of the photos that were evaluated."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmsi_export.evaluation.predictions import Scores
from pmsi_mobile.data.duplicates import hash_photos, near_pairs
from pmsi_mobile.data.splits import Photo

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Confused:
    """Two classes that are taken for each other. times: of the first for the second, and the other way round. photos:
    some of each, those that were taken for the other class first."""

    classes: tuple[int, int]
    times: tuple[int, int]
    photos: tuple[tuple[int, ...], tuple[int, ...]]


def confused_pairs(labels: Labels, probabilities: Scores, most: int, photos: int) -> list[Confused]:
    """The pairs of classes [N], at `most`, that probabilities [N, K] confuse most often, with `photos` of each."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    times = Counter((int(labels[index]), int(predicted[index])) for index in wrong)
    totals: Counter[tuple[int, int]] = Counter()
    for (true, taken_for), count in times.items():
        totals[min(true, taken_for), max(true, taken_for)] += count
    order = sorted(totals, key=lambda pair: (-totals[pair], pair))

    def shown(own: int, other: int) -> tuple[int, ...]:
        members = np.flatnonzero(labels == own)
        # The surest mistakes first, then those that are furthest from being one.
        keys = (-probabilities[members, other], predicted[members] != other)
        return tuple(members[np.lexsort(keys)][:photos].tolist())

    return [Confused((a, b), (times[a, b], times[b, a]), (shown(a, b), shown(b, a))) for a, b in order[:most]]


def surest_mistakes(labels: Labels, probabilities: Scores, most: int) -> list[int]:
    """Photos of which the first class is wrong, those with the highest first probability first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most].tolist()


def mislabelled(labels: Labels, probabilities: Scores) -> list[int]:
    """Photos that look as if they had another class's name, the likeliest first: confident learning (Northcutt et al.
    2021), by cleanlab, on probabilities of a network that was not trained on them."""
    from cleanlab.filter import find_label_issues

    present, compact = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        return []
    # cleanlab expects photos of every class: what is sure of another one counts among those there are.
    own = probabilities[:, present].astype(np.float64) + 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        issues = find_label_issues(
            compact, own / own.sum(axis=1, keepdims=True), return_indices_ranked_by="self_confidence", n_jobs=1
        )
    return [int(index) for index in issues]


@dataclass(frozen=True)
class Repeated:
    """A photo that is nearly a training photo; how many of 64 bits of their hashes differ."""

    photo: int
    training: Photo
    bits: int


def near_training(photos: Sequence[Photo], training: Sequence[Photo]) -> list[Repeated]:
    """Each photo that is nearly one that was trained on, with the nearest, the nearest pairs first."""
    own, trained_on = (hash_photos([photo.path for photo in each]) for each in (photos, training))
    nearest: dict[int, Repeated] = {}
    for photo, trained, bits in near_pairs(own, trained_on):
        nearest.setdefault(photo, Repeated(photo, training[trained], bits))
    return list(nearest.values())
