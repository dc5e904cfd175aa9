import csv

import pytest
import torch

from pmsi_mobile.evaluation import Outputs, accuracies, confusion_matrix, interval, write_per_class

# Three photos, two heads, three classes; the second head is right where the first is wrong.
LOGITS = torch.tensor(
    [
        [[3.0, 0.0, 0.0], [2.0, 0.0, 0.0]],
        [[2.0, 1.0, 0.0], [0.0, 3.0, 0.0]],
        [[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]],
    ]
)
OUTPUTS = Outputs(LOGITS, torch.tensor([0, 1, 2]))


def test_each_head_and_mix_have_their_own_accuracy():
    result = accuracies(OUTPUTS, ("S5", "concat"), "logits")
    assert result["S5"]["top1"] == pytest.approx(1 / 3)
    assert result["concat"]["top1"] == pytest.approx(1)
    assert result["mix"]["top1"] == pytest.approx(2 / 3)
    assert all(values["top5"] == 1 for values in result.values())


def test_a_single_head_has_no_mix():
    assert set(accuracies(Outputs(LOGITS[:, :1], OUTPUTS.labels), ("baseline",), "logits")) == {"baseline"}


def test_confusions_are_counted_by_true_class_and_named(tmp_path):
    confusion = confusion_matrix(OUTPUTS, "logits")
    assert confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    write_per_class(tmp_path / "per_class.csv", confusion, ("a", "b", "c"))
    rows = list(csv.DictReader((tmp_path / "per_class.csv").open()))
    assert [row["top1"] for row in rows] == ["1.0000", "1.0000", "0.0000"]
    assert rows[2]["most_confused_with"] == "b"


def test_the_interval_of_half_of_296_photos():
    low, high = interval(0.5, 296)
    assert (low, high) == (pytest.approx(0.443, abs=1e-3), pytest.approx(0.557, abs=1e-3))
