"""From latencies to the figures of a table."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

Rounds = Sequence[Sequence[int]]
"""Latencies in nanoseconds, round by round."""

CONFIDENCE = 0.95


class Latency(BaseModel):
    """All inferences of a file together, in milliseconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inferences: int
    median_ms: float
    p90_ms: float
    p99_ms: float
    min_ms: float
    mean_ms: float
    stdev_ms: float


class Ratio(BaseModel):
    """How many times as long as the baseline: the median over rounds of (its round median / the baseline's).

    low, high: distribution-free 95 % interval of that median, from order statistics; null below six rounds, where
    there is none. It covers what varies between rounds, the place of a file's memory with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    median: float
    low: float | None
    high: float | None


def latency(rounds: Rounds) -> Latency:
    """The figures of one file; at least one inference."""
    milliseconds = np.concatenate([np.asarray(burst, dtype=np.float64) for burst in rounds]) / 1e6
    return Latency(
        inferences=milliseconds.size,
        median_ms=float(np.median(milliseconds)),
        p90_ms=float(np.percentile(milliseconds, 90)),
        p99_ms=float(np.percentile(milliseconds, 99)),
        min_ms=float(milliseconds.min()),
        mean_ms=float(milliseconds.mean()),
        stdev_ms=float(milliseconds.std()),
    )


def round_medians_ms(rounds: Rounds) -> list[float]:
    """Median latency of each round in milliseconds."""
    return [statistics.median(burst) / 1e6 for burst in rounds]


def ratio(medians: Sequence[float], baseline_medians: Sequence[float]) -> Ratio:
    """Compare two files by their round medians, round with round."""
    from scipy.stats import quantile_test

    ratios = [mine / other for mine, other in zip(medians, baseline_medians, strict=True)]
    interval = quantile_test(ratios, p=0.5).confidence_interval(CONFIDENCE)
    known = not math.isnan(interval.low)
    return Ratio(
        median=statistics.median(ratios),
        low=float(interval.low) if known else None,
        high=float(interval.high) if known else None,
    )


def shift(old: Sequence[float], new: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """How many times as large the new values are as the old, two samples that do not go together in pairs.

    The median of all quotients (Hodges and Lehmann's estimate, on logarithms) with the distribution-free interval that
    inverts the Mann-Whitney test; null below six values on a side, and where so much confidence needs more of them.
    """
    from scipy.stats import norm

    quotients = sorted(mine / other for mine in new for other in old)
    low = high = None
    if min(len(old), len(new)) >= 6:
        pairs, values = len(old) * len(new), len(old) + len(new)
        spread = norm.ppf((1 + confidence) / 2) * math.sqrt(pairs * (values + 1) / 12)
        left_out = math.floor(pairs / 2 - spread)
        if left_out >= 0:
            low, high = quotients[left_out], quotients[-1 - left_out]
    return Ratio(median=statistics.median(quotients), low=low, high=high)
