"""How often a classifier is right, and what it takes for what. No PyTorch: exported files are evaluated too."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def top_k(scores: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> float:
    """Share of photos, in 0..1, whose class [N] is among the k that score highest of [N, K]."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    # As argmax has it, the first of equal scores wins; what is not a number is ahead of all.
    equal_before = (scores == own) & (np.arange(scores.shape[1]) < labels[:, None])
    return float(((~(scores <= own) | equal_before).sum(axis=1) < k).mean())


def interval(share: float, photos: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a share measured on `photos` photos."""
    # SciPy has it too, but takes a second to import.
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * photos)
    spread = z * (share * (1 - share) / photos + z**2 / (4 * photos**2)) ** 0.5
    return max(0.0, (middle - spread) / (1 + z**2 / photos)), min(1.0, (middle + spread) / (1 + z**2 / photos))


def confusion_matrix(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> Counts:
    """Counts [K, K] of photos of classes [N] and what they were taken for [N]: true class by row."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True)
class ClassAccuracy:
    """A class's photos, how many are right, and the class that the others are most often taken for, how often."""

    name: str
    photos: int
    correct: int
    taken_for: str | None
    times: int

    @property
    def top1(self) -> float | None:
        return self.correct / self.photos if self.photos else None


def per_class(confusion: Counts, classes: Sequence[str]) -> tuple[ClassAccuracy, ...]:
    """One for each class, in order."""
    rows = []
    for index, name in enumerate(classes):
        others = confusion[index].copy()
        others[index] = 0
        times = int(others.max())
        taken_for = classes[int(others.argmax())] if times else None
        rows.append(ClassAccuracy(name, int(confusion[index].sum()), int(confusion[index, index]), taken_for, times))
    return tuple(rows)
