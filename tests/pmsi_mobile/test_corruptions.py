"""Corrupted photos of Table VII."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from pmsi_export.commands.evaluate import main
from pmsi_mobile.data.corruptions import NAMES, Corruption, read_corruption
from pmsi_mobile.errors import PmsiError
from tests.conftest import make_checkpoint, small_config
from tests.pmsi_mobile.runs import call


def picture(seed=0, low=60, high=196):
    return np.random.default_rng(seed).integers(low, high, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_and_a_seed_always_give_the_same(name):
    corruption = Corruption(name)
    assert np.array_equal(corruption(picture()), corruption(picture()))
    assert not np.array_equal(corruption(picture()), Corruption(name, seed=1)(picture()))
    assert corruption(picture()).dtype == np.uint8
    assert np.array_equal(Corruption(name, severity=0)(picture()), picture())


def test_noise_is_one_map_of_five_grey_levels_for_three_channels():
    noise = Corruption("gaussian-noise")(picture()).astype(int) - picture()
    assert np.array_equal(noise[..., 0], noise[..., 1])
    assert np.array_equal(noise[..., 0], noise[..., 2])
    assert noise[..., 0].std() == pytest.approx(5, rel=0.05)
    assert abs(noise.mean()) < 0.3
    other = Corruption("gaussian-noise")(picture(1)).astype(int) - picture(1)
    assert not np.array_equal(noise, other)
    doubled = Corruption("gaussian-noise", severity=2)(picture()).astype(int) - picture()
    assert doubled[..., 0].std() == pytest.approx(10, rel=0.05)


def test_noise_is_cut_or_wraps_at_the_ends():
    white = np.full((64, 64, 3), 255, np.uint8)
    cut, wrapped = (Corruption(name)(white) for name in ("gaussian-noise", "gaussian-noise:wrap"))
    assert cut.min() > 200
    assert wrapped.min() < 30
    assert np.array_equal(cut[wrapped > 200], wrapped[wrapped > 200])


def test_jitter_is_torchvisions_with_factors_of_0_to_2(monkeypatch):
    class Fixed:
        def uniform(self, low, high, count):
            assert (low, high, count) == (0, 2, 3)
            return np.array([1.4, 0.3, 1.9])

        def permutation(self, count):
            return np.array([2, 0, 1])

    pixels = picture()
    monkeypatch.setattr("numpy.random.default_rng", lambda seed: Fixed())
    image = Image.fromarray(pixels)
    expected = functional.adjust_saturation(image, 1.9)
    expected = functional.adjust_contrast(functional.adjust_brightness(expected, 1.4), 0.3)
    assert np.array_equal(Corruption("color-jitter")(pixels), np.asarray(expected))


def test_an_unknown_corruption_is_refused():
    assert read_corruption(None, 1, 0) is None
    with pytest.raises(PmsiError, match="--corrupt takes color-jitter"):
        read_corruption("fog", 1, 0)


def test_pmsi_eval_measures_corrupted_photos(tmp_path, monkeypatch, capsys):
    config = small_config(method="baseline", preprocessing__resize=32, preprocessing__crop=32)
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), images)
    for index in range(4):
        folder = tmp_path / "photos" / "test" / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(index)).save(folder / f"{index}.png")
        (tmp_path / "photos" / "train" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(10 + index)).save(tmp_path / "photos" / "train" / "ab"[index % 2] / f"{index}.png")
    options = ["--corrupt", "gaussian-noise", "--severity", 2, "--seed", 3, "--json"]
    assert call(main, monkeypatch, checkpoint, tmp_path / "photos", "--output", tmp_path / "eval", *options) == 0
    assert '"corruption": "gaussian-noise, severity 2, seed 3"' in capsys.readouterr().out
