import pytest
import torch

from pmsi_mobile.evaluation import Outputs, accuracies

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
