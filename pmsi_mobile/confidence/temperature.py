"""Temperature scaling (Guo et al. 2017): logits are divided by one number, which moves no class past another."""

import numpy as np
from numpy.typing import NDArray

COLDEST, HOTTEST = 0.01, 100.0
_HALVINGS = 60


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature, COLDEST to HOTTEST, at which logits [N, K] give labels [N] the least negative log likelihood.

    As if a further photo, spread evenly over the others, had any class as its label: where every photo is right, the
    likelihood alone would make the network sure beyond all measure (Platt 1999).
    """
    scores = logits.astype(np.float64)
    photos = len(scores)
    wanted = (photos * scores[np.arange(photos), labels] + scores.mean(axis=1)).sum() / (photos + 1)

    def too_sure(temperature: float) -> bool:
        # The likelihood's derivative by 1 / T, which falls with T: there is one zero.
        return bool((softmax(scores / temperature) * scores).sum() > wanted)

    low, high = COLDEST, HOTTEST
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if too_sure(middle) else (low, middle)
    return high


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """[N, K] -> [N, K] in double precision."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
