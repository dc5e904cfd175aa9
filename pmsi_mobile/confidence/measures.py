"""What probabilities are worth: negative log likelihood, Brier score, calibration error, risk against coverage."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
RESAMPLES = 1000
LEAST = float(np.finfo(np.float32).tiny)
"""A probability of zero counts as this much in the likelihood."""

Probabilities = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """Figures of N photos' probabilities.

    nll: mean negative log likelihood, in nats. brier: mean squared distance from the true class's vector, 0..2. ece:
    expected calibration error, 0..1, with its 95 % interval. aurc: area under the risk-coverage curve, 0..1.
    """

    nll: float
    brier: float
    ece: float
    ece_low: float
    ece_high: float
    aurc: float


def measure(probabilities: Probabilities, labels: NDArray[np.integer]) -> Calibration:
    """The figures of probabilities [N, K] of photos of classes [N]."""
    exact = probabilities.astype(np.float64)
    of_class = exact[np.arange(len(labels)), labels]
    others = np.square(exact).sum(axis=1) - np.square(of_class)
    first, correct = first_and_correct(exact, labels)
    low, high = _interval(first, correct)
    return Calibration(
        nll=float(-np.log(np.maximum(of_class, LEAST)).mean()),
        brier=float((others + np.square(1 - of_class)).mean()),
        ece=calibration_error(first, correct),
        ece_low=low,
        ece_high=high,
        aurc=float(risk_coverage(first, correct).mean()),
    )


def first_and_correct(
    probabilities: Probabilities, labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The first probability of each photo, [N], and whether its class is the true one, [N]."""
    return probabilities.max(axis=1).astype(np.float64), np.asarray(probabilities.argmax(axis=1) == labels)


def calibration_error(
    first: NDArray[np.floating], correct: NDArray[np.bool_], by: NDArray[np.floating] | None = None
) -> float:
    """Expected calibration error of first probabilities [N] over BINS bins of equally many photos: how far the mean
    probability of a bin is from the share that is right in it, on average over photos.

    by: what photos are sorted into bins by, where it is not `first`: two networks on the same photos differ by less
    scatter in the same bins.
    """
    gaps = (first - correct)[np.argsort(first if by is None else by, kind="stable")]
    return float(np.abs(np.add.reduceat(gaps, _bins(len(first)))).sum() / len(first))


def reliability(first: NDArray[np.floating], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean first probability and share right, [bins, 2], of each of BINS bins of equally many photos."""
    order = np.argsort(first, kind="stable")
    bins = np.split(order, _bins(len(first))[1:])
    return np.array([(first[photos].mean(), correct[photos].mean()) for photos in bins])


def _bins(photos: int) -> NDArray[np.intp]:
    """Where each bin begins among sorted photos."""
    bins = min(BINS, photos)
    return np.arange(bins) * photos // bins


def risk_coverage(first: NDArray[np.floating], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share that is wrong among the surest k of N photos, k = 1..N; its mean is the area under the curve."""
    wrong = ~correct[np.argsort(-first, kind="stable")]
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


def _interval(first: NDArray[np.floating], correct: NDArray[np.bool_]) -> tuple[float, float]:
    """95 % bootstrap interval of the calibration error. The basic one: resampled photos scatter about their own error,
    which raises it as much as drawing these photos has raised it already."""
    random = np.random.default_rng(0)
    samples = random.integers(len(first), size=(RESAMPLES, len(first)))
    errors = [calibration_error(first[chosen], correct[chosen]) for chosen in samples]
    low, high = np.quantile(errors, (0.025, 0.975))
    error = calibration_error(first, correct)
    return max(0.0, float(2 * error - high)), max(0.0, float(2 * error - low))
