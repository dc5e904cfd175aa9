"""Photos of none of the classes: the score that tells them, and from where on it does."""

from math import ceil

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.confidence.record import Unknown

KEPT = 0.95
"""Share of the classes' own photos that is not called unknown."""


def unknown_scores(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The negative of the largest logit (Hendrycks et al. 2022), calibrated logits [N, K] -> [N]: the higher, the less
    a photo is like any class."""
    return -logits.max(axis=1).astype(np.float64)


def find_threshold(scores: NDArray[np.floating]) -> Unknown:
    """The threshold that a further photo of the classes is below, or at, with a probability of KEPT at least, from the
    scores [N], N >= KEPT / (1 - KEPT), of photos of the classes (split conformal prediction)."""
    rank = ceil(round(KEPT * (len(scores) + 1), 6))
    return Unknown(kept=KEPT, threshold=float(np.sort(scores)[rank - 1]))
