"""Resized photos that are kept: the same pixels, decoded once."""

import errno
import os
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from pmsi_mobile.config import Preprocessing, TrainConfig
from pmsi_mobile.data import loading
from pmsi_mobile.data.cache import ResizedPhotos
from pmsi_mobile.data.loading import EvalPhotos, TrainPhotos, eval_loader, evaluation_keys, train_loader, training_keys
from pmsi_mobile.data.photo_augment import PhotoAugment
from pmsi_mobile.data.splits import Photo

SIZES = Preprocessing(resize=72, crop=64)


@pytest.fixture
def photos(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(6):
        pixels = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    return [Photo(tmp_path / f"{number}.jpg", number) for number in range(6)]


@pytest.fixture
def decoded(monkeypatch):
    """The photos that are decoded, in order."""
    paths, load = [], loading.load_checked
    monkeypatch.setattr(loading, "load_checked", lambda path, *rest: (paths.append(path), load(path, *rest))[1])
    return paths


def keep(photos, folder, gib=1.0):
    keys = training_keys(photos, mixed_resize=True) + evaluation_keys(photos)
    return ResizedPhotos(folder / "cache", keys, SIZES.resize, gib)


def epochs(photos, cache, count=4):
    sets = [TrainPhotos(photos, SIZES, 0, epoch, mixed_resize=True, cache=cache) for epoch in range(count)]
    sets.append(EvalPhotos(photos, SIZES, cache=cache))
    return [dataset[index] for dataset in sets for index in range(len(photos))]


def test_kept_photos_give_the_same_pixels(photos, tmp_path):
    plain, first = epochs(photos, None), epochs(photos, cache := keep(photos, tmp_path))
    again = epochs(photos, cache)
    for expected, *others in zip(plain, first, again, strict=True):
        assert all((image == expected[0]).all() and label == expected[1] for image, label in others)
    cache.close()
    assert not cache.path.exists()


@pytest.mark.parametrize(("size", "times"), [((280, 250), 1), ((600, 800), 2)])
def test_a_photo_is_decoded_once_in_full_and_if_large_once_reduced_for_all_ways(size, times, tmp_path, decoded):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.jpg")
    photo = [Photo(tmp_path / "0.jpg", 0)]
    plain, cache = epochs(photo, None, 12), keep(photo, tmp_path)
    decoded.clear()
    for _ in range(2):
        assert all((a[0] == b[0]).all() for a, b in zip(epochs(photo, cache, 12), plain, strict=True))
    assert len(decoded) == times


def test_what_does_not_fit_is_decoded_again(photos, tmp_path, decoded):
    one = (3 * 72 * 72 + 1) / 2**30
    cache = keep(photos[:1], tmp_path, 1.5 * one)
    assert len(cache.slots) == 1
    expected = epochs(photos[:1], None)
    assert all((a[0] == b[0]).all() for a, b in zip(epochs(photos[:1], cache), expected, strict=True))
    assert cache.path.stat().st_size <= 1.5 * one * 2**30


def test_loader_processes_fill_it_for_each_other(photos, tmp_path, decoded):
    cache = keep(photos, tmp_path)
    for _ in range(2):
        dataset = TrainPhotos(photos, SIZES, 0, 0, mixed_resize=True, cache=cache)
        batches = [images for images, _ in train_loader(dataset, [[0, 1, 2], [3, 4, 5]], workers=2)]
    assert not decoded  # In this process.
    here = [dataset[index][0] for index in range(6)]
    assert not decoded
    assert all((image == batches[index // 3][index % 3]).all() for index, image in enumerate(here))


@pytest.mark.parametrize("accelerator", [False, True])
def test_no_processes_where_nothing_is_left_to_decode(photos, accelerator, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    cache, plain = keep(photos, tmp_path), partial(TrainPhotos, photos, SIZES, 0, 0, mixed_resize=True)
    sets = [plain(cache=cache), EvalPhotos(photos, SIZES, cache=cache)]
    others = [
        plain(),
        plain(cache=cache, augment=PhotoAugment(TrainConfig(random_erasing=0.5), SIZES)),
        EvalPhotos(photos, SIZES),
    ]

    def processes(dataset):
        loader = train_loader(dataset, [[0]], 2) if isinstance(dataset, TrainPhotos) else eval_loader(dataset, 1, 2)
        return loader.num_workers

    assert {processes(dataset) for dataset in sets} == {2}
    epochs(photos[:-1], cache)
    assert {processes(dataset) for dataset in sets} == {2}
    epochs(photos, cache)
    assert {processes(dataset) for dataset in sets} == ({2} if accelerator else {0})
    assert {processes(dataset) for dataset in others} == {2}


def test_a_process_that_is_not_forked_opens_it_itself(photos, tmp_path, decoded):
    cache = keep(photos, tmp_path)
    epochs(photos, cache, 30)
    decoded.clear()
    epochs(photos, pickle.loads(pickle.dumps(cache)), 30)
    assert not decoded


def test_a_full_disk_costs_no_run(photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    expected = epochs(photos, None)
    assert all((a[0] == b[0]).all() for a, b in zip(epochs(photos, keep(photos, tmp_path)), expected, strict=True))


def test_half_a_photo_is_no_photo(photos, tmp_path):
    cache = keep(photos, tmp_path)
    expected = epochs(photos, cache)
    with open(cache.path, "r+b") as file:
        file.truncate(cache.bytes - 1)
    assert all((a[0] == b[0]).all() for a, b in zip(epochs(photos, cache), expected, strict=True))
