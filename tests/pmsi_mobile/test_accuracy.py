import numpy as np
import pytest
from scipy.stats import binomtest

from pmsi_mobile.accuracy import confusion_matrix, interval, per_class, top_k

LABELS = np.array([0, 1, 2])


def test_the_share_of_photos_whose_class_is_among_the_first():
    scores = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert [top_k(scores, LABELS, k) for k in (1, 2, 3, 5)] == pytest.approx([1 / 3, 2 / 3, 1, 1])


def test_of_equal_scores_the_first_wins_and_what_is_no_number_is_never_right():
    assert top_k(np.zeros((3, 3)), LABELS, 1) == pytest.approx(1 / 3)
    assert top_k(np.full((3, 3), np.nan), LABELS, 2) == 0
    assert top_k(np.array([[np.nan, 1.0, 0.0]]), np.array([1]), 1) == 0


def test_confusions_are_counted_by_true_class_and_named():
    confusion = confusion_matrix(LABELS, np.array([0, 1, 1]), 3)
    assert confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    rows = per_class(confusion, ("a", "b", "c"))
    assert [row.top1 for row in rows] == [1, 1, 0]
    assert [(row.taken_for, row.times) for row in rows] == [(None, 0), (None, 0), ("b", 1)]


def test_a_class_without_photos_has_no_accuracy():
    assert per_class(confusion_matrix(LABELS, LABELS, 4), "abcd")[3].top1 is None


@pytest.mark.parametrize(("right", "photos", "level"), [(148, 296, 0.95), (0, 7, 0.95), (7, 7, 0.95), (3, 40, 0.98)])
def test_the_interval_is_wilsons(right, photos, level):
    expected = binomtest(right, photos).proportion_ci(level, method="wilson")
    assert interval(right / photos, photos, level) == pytest.approx((expected.low, expected.high), abs=1e-12)
