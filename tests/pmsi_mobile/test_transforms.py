"""Resizing as the programs that use a model do it, and the photos kept for calibration."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional as F

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data import loading
from pmsi_mobile.data.calibration import save_calibration
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.loading import TrainPhotos, derive_seed
from pmsi_mobile.data.resizes import RESIZES, eval_pixels, stretch
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import View, draw_view, eval_transform, normalise, train_transform
from tests.conftest import small_config


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("resize", RESIZES)
@settings(deadline=None)
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


@settings(deadline=None)
@given(width=st.integers(1, 60), height=st.integers(1, 60))
def test_plain_bilinear_is_that_of_torch(width, height):
    photo = noise(width, height)
    pixels = torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(pixels, size=(32, 32), mode="bilinear", align_corners=False)[0]
    assert np.array_equal(np.asarray(stretch(photo, 32, "bilinear")), expected.round().byte().permute(1, 2, 0))


@settings(deadline=None, max_examples=20)
@given(width=st.integers(1, 60), height=st.integers(1, 60))
def test_an_area_is_the_mean_of_what_it_covers(width, height):
    photo = noise(width, height)
    # Each pixel repeated 32 times: every new one covers whole ones.
    fine = np.asarray(photo, dtype=float).repeat(32, axis=0).repeat(32, axis=1)
    expected = fine.reshape(32, height, 32, width, 3).mean(axis=(1, 3))
    assert np.abs(np.asarray(stretch(photo, 32, "area")) - expected).max() <= 0.501


@pytest.mark.parametrize(("resize", "crop"), [(72, 64), (67, 32), (69, 32), (64, 64)])
def test_the_centre_is_that_of_torchvision(resize, crop):
    photo, preprocessing = noise(100, 80), Preprocessing(resize=resize, crop=crop)
    expected = F.pil_to_tensor(F.center_crop(F.resize(photo, [resize, resize]), [crop, crop]))
    assert torch.equal(eval_transform(photo, preprocessing), expected)
    assert np.array_equal(eval_pixels(photo, preprocessing), expected.permute(1, 2, 0))


@settings(deadline=None)
@given(seed=st.integers(0, 1000), width=st.integers(40, 90), mixed=st.booleans())
def test_a_training_crop_and_its_mirror_image_are_those_of_torchvision(seed, width, mixed):
    photo, preprocessing = noise(width, 60), Preprocessing(resize=41, crop=32)
    view = draw_view(preprocessing, torch.Generator().manual_seed(seed), mixed_resize=mixed)
    transformed = train_transform(photo, preprocessing, view)
    draws = torch.Generator().manual_seed(seed)
    top, left = torch.randint(10, (2,), generator=draws).tolist()
    flip = bool(torch.rand((), generator=draws) < 0.5)
    resize = RESIZES[int(torch.randint(4, (), generator=draws))] if mixed else "antialias"
    cropped = F.crop(stretch(photo, 41, resize), top, left, 32, 32)
    assert torch.equal(transformed, F.pil_to_tensor(F.horizontal_flip(cropped) if flip else cropped))


@pytest.mark.slow
def test_photos_are_loaded_without_torchvision():
    """Where processes do not fork, each loader process would import it, which takes longer than importing PyTorch."""
    code = "import sys, pmsi_mobile.data.loading, pmsi_mobile.training.loop; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pixels_need_no_torch():
    code = "import sys, pmsi_mobile.data.images, pmsi_mobile.data.resizes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pixels_become_a_tensor_without_a_warning():
    pixels = eval_pixels(noise(40, 50), Preprocessing(resize=41, crop=32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.from_numpy(pixels)


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
        return {
            train_transform(photo, preprocessing, draw_view(preprocessing, draw, mixed_resize=mixed)).numpy().tobytes()
            for draw in draws
        }

    # Each flipped or not.
    assert len(views(mixed=False)) == 2
    assert len(views(mixed=True)) == 2 * len(RESIZES)


def test_a_training_photo_is_decoded_smaller_only_where_that_changes_next_to_nothing(tmp_path, monkeypatch):
    path = tmp_path / "large.jpg"
    noise(16, 12).resize((1600, 1200), Image.Resampling.BICUBIC).save(path, quality=92)
    for resize, bound in {"antialias": 1.0, "area": 1.0, "nearest": 0.0, "bilinear": 0.0}.items():
        view = View(0, 0, False, resize)
        monkeypatch.setattr(loading, "draw_view", lambda *_, view=view, **__: view)
        exact = train_transform(load_rgb(path), Preprocessing(resize=64, crop=64), view)
        drawn, _ = TrainPhotos([Photo(path, 0)], Preprocessing(resize=64, crop=64), seed=0, epoch=0)[0]
        assert (exact.int() - drawn.int()).abs().float().mean() <= bound


def test_seeds_of_other_tuples_are_others():
    tuples = [(), (0,), (0, 0), (0, 0, 0), (1, 0), (0, 1), (2**32,), (0, 2**32), (2**40 + 3, 1)]
    assert len({derive_seed(*parts) for parts in tuples}) == len(tuples)
    assert all(0 <= derive_seed(*parts) < 2**63 for parts in tuples)


def test_normalised_images_can_be_trained_on_whoever_asked_first():
    preprocessing, images = Preprocessing(mean=(0.1, 0.2, 0.3)), torch.full((1, 3, 2, 2), 51, dtype=torch.uint8)
    with torch.inference_mode():
        normalise(images, preprocessing)
    weight = torch.ones(1, requires_grad=True)
    (normalise(images, preprocessing) * weight).sum().backward()
    std = torch.tensor(preprocessing.std)
    assert torch.allclose(weight.grad, 4 * ((0.2 - torch.tensor([0.1, 0.2, 0.3])) / std).sum())


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
