"""Resizing as the programs that use a model do it, and the photos kept for calibration."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.calibration import save_calibration
from pmsi_mobile.data.resizes import RESIZES
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import eval_transform, stretch, train_transform
from tests.conftest import small_config


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("resize", RESIZES)
@given(width=st.integers(3, 90), height=st.integers(3, 90), grey=st.integers(0, 255))
def test_an_even_colour_stays_what_it_is(resize, width, height, grey):
    resized = np.asarray(stretch(Image.new("RGB", (width, height), (grey, 7, 200)), 32, resize))
    assert resized.shape == (32, 32, 3)
    assert (resized == (grey, 7, 200)).all()


def test_whole_factors_have_known_results():
    photo = noise(96, 64)
    pixels = np.asarray(photo, dtype=float)
    blocks = pixels.reshape(32, 2, 32, 3, 3)
    assert np.abs(np.asarray(stretch(photo, 32, "area")) - blocks.mean(axis=(1, 3))).max() <= 0.51
    assert (np.asarray(stretch(photo, 32, "nearest")) == blocks[:, 1, :, 1]).all()
    # The new pixel's centre lies between two rows and on the middle one of three columns.
    assert np.abs(np.asarray(stretch(photo, 32, "bilinear")) - blocks[:, :, :, 1].mean(axis=1)).max() <= 0.51


def test_an_area_that_covers_parts_of_pixels_is_weighted():
    row = Image.fromarray(np.array([[[0, 0, 0], [90, 90, 90], [30, 30, 30]]], dtype=np.uint8))
    assert np.asarray(stretch(row, 2, "area"))[0, :, 0].tolist() == [30, 50]


def test_plain_bilinear_of_a_large_photo_aliases_and_antialias_does_not():
    photo = noise(512, 512)
    spread = {resize: np.asarray(stretch(photo, 32, resize), dtype=float).std() for resize in RESIZES}
    assert spread["antialias"] < 12
    assert spread["area"] < 12
    assert spread["bilinear"] > 30
    assert spread["nearest"] > 60


def test_training_mixes_the_resizes_only_when_asked_to():
    photo, preprocessing = noise(300, 300), Preprocessing(resize=32, crop=32)

    def views(mixed):
        draws = (torch.Generator().manual_seed(seed) for seed in range(40))
        return {train_transform(photo, preprocessing, draw, mixed_resize=mixed).numpy().tobytes() for draw in draws}

    # Each flipped or not.
    assert len(views(mixed=False)) == 2
    assert len(views(mixed=True)) == 2 * len(RESIZES)


def test_calibration_photos_are_kept_at_the_size_that_training_crops_from(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        noise(100, 80, number).save(path)
    config = small_config()
    folder = tmp_path / "calibration"
    save_calibration([Photo(path, 0) for path in paths], config, folder)
    kept = sorted(folder.iterdir())
    assert [path.name for path in kept] == ["000.jpg", "001.jpg", "002.jpg", "003.jpg", "004.jpg"]
    with Image.open(kept[0]) as image:
        assert image.size == (72, 72)
        assert eval_transform(image.convert("RGB"), config.preprocessing).shape == (3, 64, 64)
    kept[0].unlink()
    save_calibration([Photo(path, 0) for path in paths], config, folder)
    assert len(list(folder.iterdir())) == 4
