"""Temperature scaling (Guo et al. 2017): logits are divided by one number, which moves no class past another."""

from math import ceil, log

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.01, 100.0
PRIOR = 0.5
"""Standard deviation of the logarithm of temperatures about 0, before any photo is seen."""
KNOWN = 0.125
"""Standard deviation of a temperature's logarithm at which it counts as known: it costs about a point of calibration
error then, in nine cases of ten less."""
MUTE = 1e-6
"""Information of a photo that says next to nothing: all its logits are the same, or one is far above all others."""
_HALVINGS = 60


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature, COLDEST to HOTTEST, that logits [N, K] with labels [N] make most probable: the least negative
    log likelihood and, of few photos, close to 1 (a normal prior of its logarithm, PRIOR).

    The likelihood alone would make a network sure beyond all measure where every photo is right, and unsure for one
    photo that it is surely wrong about.
    """
    scores = logits.astype(np.float64)
    wanted = scores[np.arange(len(scores)), labels].sum()

    def too_sure(temperature: float) -> bool:
        # The derivative by log T, which rises through zero.
        excess = (softmax(scores / temperature) * scores).sum() - wanted
        return bool(excess / temperature > log(temperature) / PRIOR**2)

    low, high = COLDEST, HOTTEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if too_sure(middle) else (low, middle)
    return high


def photos_wanted(logits: NDArray[np.floating], temperature: float) -> int:
    """How many photos like these, logits [N, K], it takes to know a temperature to KNOWN (Laplace's approximation), in
    tens."""
    scores = logits / temperature
    probabilities = softmax(scores)
    mean = (probabilities * scores).sum(axis=1)
    # Fisher's information of log T that a photo has: the variance of its logits.
    information = float(((probabilities * np.square(scores)).sum(axis=1) - np.square(mean)).mean())
    return 10 * ceil((KNOWN**-2 - PRIOR**-2) / max(information, MUTE) / 10)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """[N, K] -> [N, K] in double precision."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
