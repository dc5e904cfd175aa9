"""Augmentations of single photos by torchvision."""

import numpy as np
import pytest
import torch
from PIL import Image

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.birds import choose_species, draw_bird
from pmsi_mobile.data.loading import TrainPhotos, train_loader
from pmsi_mobile.data.photo_augment import photo_augment
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import View
from tests.conftest import small_config

SIZES = Preprocessing(resize=72, crop=64)
AUGMENTS = ({"random_resized_crop": 0.25}, {"trivial_augment": True}, {"random_erasing": 0.9})


def augment(**values):
    train = small_config(**{f"train__{key}": value for key, value in values.items()}).train
    return photo_augment(train, SIZES)


@pytest.fixture(scope="module")
def pixels():
    return draw_bird(choose_species(1, 1)[0], np.random.default_rng(0), 72).image


@pytest.fixture(scope="module")
def photos(pixels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(8):
        Image.fromarray(np.roll(pixels, 5 * number, axis=1)).save(folder / f"{number}.png")
    return [Photo(folder / f"{number}.png", number) for number in range(8)]


def test_nothing_is_done_by_default():
    assert augment() is None


@pytest.mark.parametrize("values", AUGMENTS)
def test_a_photo_is_seen_otherwise_by_a_draw_that_its_seed_alone_decides(values, pixels):
    changed, view = augment(**values), View(4, 4, False, "antialias")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    seen = [changed(pixels, view, seed) for seed in (0, 1, 2, 3, 0)]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {(tuple(image.shape), image.dtype) for image in seen} == {((3, 64, 64), torch.uint8)}
    assert torch.equal(seen[0], seen[4])
    assert len({image.numpy().tobytes() for image in seen}) >= 3


@pytest.mark.parametrize("values", AUGMENTS)
def test_loader_processes_draw_the_same_and_each_epoch_anew(values, photos):
    def epoch(number, workers):
        dataset = TrainPhotos(photos, SIZES, 0, number, augment=augment(**values))
        return torch.cat([images for images, _ in train_loader(dataset, [[0, 1, 2, 3], [4, 5, 6, 7]], workers)])

    assert torch.equal(epoch(0, 0), epoch(0, 2))
    assert not torch.equal(epoch(0, 0), epoch(1, 0))


def test_what_is_erased_is_the_mean_colour(pixels):
    view, mean = View(4, 4, False, "antialias"), torch.tensor([124, 116, 104])[:, None, None]
    image = next(
        image for seed in range(20) if ((image := augment(random_erasing=0.9)(pixels, view, seed)) == mean).all(0).any()
    )
    kept = torch.from_numpy(pixels[4:68, 4:68].copy()).permute(2, 0, 1)
    erased = (image != kept).any(0)
    assert (image == mean).all(0)[erased].all()
    rows, columns = erased.any(1).nonzero().flatten(), erased.any(0).nonzero().flatten()
    assert 0.02 * 64 * 64 <= len(rows) * len(columns) <= 0.35 * 64 * 64


def test_a_random_resized_crop_shows_the_asked_share_at_least():
    # Each pixel says where it is.
    places = np.stack(np.broadcast_arrays(np.arange(72)[:, None] * 3, np.arange(72)[None] * 3, 0), axis=2)
    view = View(0, 0, False, "antialias")
    shares = []
    for seed in range(30):
        image = augment(random_resized_crop=0.25)(places.astype(np.uint8), view, seed).float() / 3
        height, width = (image[axis].max() - image[axis].min() + 1 for axis in (0, 1))
        shares.append(float(height * width) / 72**2)
    assert 0.2 < min(shares) < 0.4
    assert max(shares) > 0.8
