"""Figures of known samples: what is there is found, what is not there is not."""

import numpy as np
import pytest

from pmsi_bench.statistics import Ratio, latency, ratio, round_medians_ms


def compare(slow_down: float, seed: int, rounds: int = 20) -> Ratio:
    """Two files on a machine whose speed wanders by tens of percent, with noise and other programs' bursts."""
    random = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(random.normal(0, 0.1, rounds)))
    samples = []
    for factor in (1.0, slow_down):
        times = 1e6 * factor * drift[:, None] * (1 + random.gamma(1, 0.05, (rounds, 15)))
        times[random.random(times.shape) < 0.05] *= 5
        samples.append(times.astype(int).tolist())
    baseline, other = (round_medians_ms(rounds_ns) for rounds_ns in samples)
    return ratio(other, baseline)


def test_latency_of_known_samples():
    figures = latency([[1_000_000, 2_000_000], [3_000_000, 4_000_000, 10_000_000]])
    assert figures.inferences == 5
    assert figures.median_ms == 3
    assert figures.mean_ms == 4
    assert figures.min_ms == 1
    assert figures.p90_ms == pytest.approx(7.6)
    assert figures.stdev_ms == pytest.approx(np.std([1, 2, 3, 4, 10]))


def test_planted_ten_percent_slow_down_is_found():
    found = [compare(1.1, seed) for seed in range(100)]
    assert sum(each.low > 1 for each in found) >= 98
    assert sum(each.low <= 1.1 <= each.high for each in found) >= 90
    assert np.median([each.median for each in found]) == pytest.approx(1.1, abs=0.01)


def test_same_file_against_itself_shows_no_difference():
    found = [compare(1.0, seed) for seed in range(100)]
    assert sum(each.low <= 1 <= each.high for each in found) >= 90


def test_below_six_rounds_there_is_no_interval():
    few = compare(1.1, seed=0, rounds=5)
    assert few.low is None
    assert few.high is None
    assert compare(1.1, seed=0, rounds=6).low is not None


def test_baseline_against_itself_is_one():
    assert ratio([3.0] * 8, [3.0] * 8) == Ratio(median=1, low=1, high=1)
