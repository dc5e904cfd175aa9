"""Where a network looks: Grad-CAM's maps, the picture, the pointing game."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.commands.explain import main
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.splits import open_data, save_data
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.explanations import Explanation, explain, near, pointing_game
from pmsi_mobile.methods.activation_maps import gradient_maps
from pmsi_mobile.methods.registry import build_network
from tests.conftest import make_checkpoint, randomise, small_config
from tests.pmsi_mobile.runs import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("explained")
    write_birds(root / "birds", species=2, train=2, val=1, test=2, size=72, seed=0)
    classes = open_data(root / "birds", val_fraction=0, test_fraction=0, seed=0).classes
    make_checkpoint(root / "ckpt.pt", small_config(), classes, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    return root


def test_maps_are_channels_weighted_by_their_mean_gradients():
    torch.manual_seed(0)
    network = randomise(build_network(small_config(), 3))
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([2, 0])
    maps = [each.detach().requires_grad_() for each in network.backbone(images)]
    logits = network.from_maps(maps).sum(1)
    (logits[0, 2] + logits[1, 0]).backward()
    for found, each in zip(gradient_maps(network, images, labels), maps, strict=True):
        expected = np.einsum("bc,bchw->bhw", each.grad.mean((2, 3)).numpy(), each.detach().numpy())
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_an_explanation_is_of_the_predicted_class_unless_another_is_asked_for(folder):
    checkpoint = load_checkpoint(folder / "ckpt.pt")
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    found = explain(checkpoint.network(), checkpoint, image)
    assert found.probability >= 0.5
    assert list(found.stages) == ["S3", "S4", "S5"]
    for heat in found.stages.values():
        assert heat.shape == (64, 64)
        assert heat.min() >= 0
        assert heat.max() in (0, pytest.approx(1))
    other = explain(checkpoint.network(), checkpoint, image, 1 - found.label)
    assert other.probability == pytest.approx(1 - found.probability)


def test_a_place_is_near_up_to_the_distance():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    assert near(mask, 2.5).sum() == 25
    assert np.array_equal(near(mask, 0), mask)


def test_the_pointing_game_counts_maxima_on_the_parts(folder, monkeypatch):
    checkpoint = load_checkpoint(folder / "ckpt.pt")
    data = open_data(folder / "birds", val_fraction=0, test_fraction=0, seed=0)
    scores = pointing_game(checkpoint, data.test, folder / "birds")
    assert set(scores) == {"S3", "S4", "S5", "chance"}
    assert 0 < scores["chance"] < 0.6

    def on_the_corner(network, checkpoint, image, label):
        corner, centre = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.float32)
        corner[0, 0] = centre[32, 32] = 1
        return Explanation(image.numpy(), label, 1.0, {"corner": corner})

    monkeypatch.setattr("pmsi_mobile.explanations.explain", on_the_corner)
    assert pointing_game(checkpoint, data.test, folder / "birds")["corner"] == 0
    with pytest.raises(PmsiError, match="has no mask"):
        pointing_game(checkpoint, data.test, folder / "birds" / "test")


def test_pmsi_explain_draws_and_scores(folder, tmp_path, monkeypatch, capsys):
    photo = next((folder / "birds" / "test").rglob("*.jpg"))
    options = ["--birds", folder / "birds", "--output", tmp_path / "why.png"]
    assert call(main, monkeypatch, folder / "ckpt.pt", photo, *options) == 0
    assert (tmp_path / "why.png").stat().st_size > 0
    assert "of 4 maxima on a part" in capsys.readouterr().out
    assert call(main, monkeypatch, folder / "ckpt.pt") == 2
    assert call(main, monkeypatch, folder / "ckpt.pt", photo, "--class", "no bird") == 2
    assert "no such class" in capsys.readouterr().err


def test_pointing_takes_no_bird_that_the_run_trained_on(folder, tmp_path, monkeypatch, capsys):
    birds = folder / "birds"
    data = open_data(birds, val_fraction=0, test_fraction=0, seed=0)
    # A fold of a sweep: two of the folder's test photos were trained on, two of its training photos were not.
    fold = replace(data, train=(*data.train[2:], *data.test[:2]), val=(), test=(*data.train[:2], *data.test[2:]))
    shutil.copy(folder / "ckpt.pt", tmp_path)
    save_data(fold, tmp_path / "data.json")
    played = []

    def listen(checkpoint, photos, root, progress):
        played.extend(photos)
        return {}

    monkeypatch.setattr("pmsi_mobile.explanations.pointing_game", listen)
    assert call(main, monkeypatch, tmp_path / "ckpt.pt", "--birds", birds) == 0
    assert {photo.path for photo in played} == {photo.path for photo in (*fold.test, *data.val)}
    save_data(replace(fold, train=(*data.train, *data.val, *data.test), test=()), tmp_path / "data.json")
    assert call(main, monkeypatch, tmp_path / "ckpt.pt", "--birds", birds) == 2
    assert "draw others" in capsys.readouterr().err
