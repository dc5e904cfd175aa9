"""From which first probability on a network should answer, so that a promised share of its answers is right."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.confidence.record import Answers

RIGHT = (0.90, 0.95, 0.99)
"""Shares of right answers that are asked for."""
ERROR = 0.05
"""Probability that a promise is made that does not hold."""


def promises(first: NDArray[np.floating], correct: NDArray[np.bool_]) -> tuple[Answers, ...]:
    """The smallest threshold for each of RIGHT that photos with these first probabilities [N] and verdicts [N] support;
    none where they are too few, or too often wrong.

    The surest k photos are tested for k = start, start + 1, ... (fixed sequence testing, from the top), each by the
    exact binomial test (Clopper-Pearson's bound) at level ERROR, until one test fails. Where surer photos are right
    more often, a promise that does not hold is made with a probability of ERROR at most, whatever is tested before: to
    get below the threshold at which exactly the share is right, the photos above that one have to pass.
    The start does not look at verdicts: as many photos as it takes to promise anything, a tenth of them at least, so
    that one mislabelled photo at the top does not end it.
    """
    from scipy.stats import binom  # slow to import

    order = np.argsort(-first, kind="stable")
    sure, right, photos = first[order].astype(np.float64), np.cumsum(correct[order]), len(first)
    # Photos of the same probability are answered all or none.
    counts = np.flatnonzero(np.append(sure[:-1] > sure[1:], True)) + 1
    found = []
    for share in RIGHT:
        fewest = max(ceil(log(ERROR) / log(share)), photos // 10)
        tested = counts[counts >= fewest]
        passed = binom.sf(right[tested - 1] - 1, tested, share) <= ERROR
        length = len(passed) if passed.all() else int(passed.argmin())
        if length:
            count = int(tested[length - 1])
            threshold = 0.0 if count == photos else float(sure[count - 1 : count + 1].mean())
            found.append(Answers(right=share, threshold=threshold, coverage=count / photos))
    return tuple(found)


@dataclass(frozen=True)
class Kept:
    """What became of a promise on other photos: the share that is answered, and the share of the answers that is right
    (null for no answers)."""

    promise: Answers
    answered: float
    right: float | None


def kept(promised: tuple[Answers, ...], first: NDArray[np.floating], correct: NDArray[np.bool_]) -> tuple[Kept, ...]:
    """Each promise on photos with these first probabilities [N] and verdicts [N]."""
    answered = [first >= promise.threshold for promise in promised]
    return tuple(
        Kept(promise, float(given.mean()), float(correct[given].mean()) if given.any() else None)
        for promise, given in zip(promised, answered, strict=True)
    )
