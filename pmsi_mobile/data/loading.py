"""Photos as batches of uint8 tensors. Every random choice is a function of (seed, epoch, photo), so that a resumed
run sees the same pixels whatever the number of loader processes or the point of interruption."""

import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.cache import Key, Pixels, ResizedPhotos
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.images import load_checked
from pmsi_mobile.data.photo_augment import PhotoAugment
from pmsi_mobile.data.resizes import RESIZES, Resize, centre, stretch
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import as_tensor, draw_view, view_of
from pmsi_mobile.errors import PmsiError

_ORDER, _AUGMENT, _PHOTO_AUGMENT = 0, 1, 3  # 2 is of the training steps.
_PER_CLASS = 4
_DECODED = 2
"""A training photo that is resized with averaging is decoded at this many times the resized side or more."""


def derive_seed(*parts: int) -> int:
    """An independent 63-bit seed for each tuple of integers, of whatever length."""
    # SeedSequence takes (0,) and (0, 0, 0) for the same.
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


class EvalPhotos(Dataset[tuple[Tensor, int]]):
    """Photos under the evaluation transform, corrupted where one says how: (uint8 [3, crop, crop], label)."""

    def __init__(
        self,
        photos: Sequence[Photo],
        preprocessing: Preprocessing,
        resize: Resize = "antialias",
        cache: ResizedPhotos | None = None,
        corruption: Corruption | None = None,
    ) -> None:
        self.photos = photos
        self.preprocessing = preprocessing
        self.resize = resize
        self.cache = cache
        self.corruption = corruption

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        photo = self.photos[index]
        pixels = _resized(_evaluation_key(photo, self.resize), self.preprocessing.resize, self.cache)
        cropped = centre(pixels, self.preprocessing.crop)
        return as_tensor(self.corruption(cropped) if self.corruption else cropped), photo.label

    @property
    def kept(self) -> bool:
        """Whether there is nothing left to decode."""
        return self.cache is not None and self.cache.holds(evaluation_keys(self.photos, self.resize))


class TrainPhotos(Dataset[tuple[Tensor, int]]):
    """Photos under one epoch's training transform: (uint8 [3, crop, crop], label)."""

    def __init__(
        self,
        photos: Sequence[Photo],
        preprocessing: Preprocessing,
        seed: int,
        epoch: int,
        mixed_resize: bool = False,
        cache: ResizedPhotos | None = None,
        augment: PhotoAugment | None = None,
    ) -> None:
        self.photos = photos
        self.preprocessing = preprocessing
        self.cache = cache
        self.augment = augment
        self.mixed_resize = mixed_resize
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        photo = self.photos[index]
        generator = torch.Generator().manual_seed(derive_seed(self.seed, _AUGMENT, self.epoch, index))
        view = draw_view(self.preprocessing, generator, mixed_resize=self.mixed_resize)
        pixels = _resized(_training_key(photo, view.resize), self.preprocessing.resize, self.cache)
        if self.augment:
            seed = derive_seed(self.seed, _PHOTO_AUGMENT, self.epoch, index)
            return self.augment(pixels, view, seed), photo.label
        return view_of(pixels, self.preprocessing.crop, view), photo.label

    @property
    def kept(self) -> bool:
        """Whether there is nothing left to decode, nor to augment photo by photo."""
        keys = training_keys(self.photos, self.mixed_resize)
        return self.cache is not None and not self.augment and self.cache.holds(keys)


def training_keys(photos: Sequence[Photo], mixed_resize: bool) -> list[Key]:
    """What TrainPhotos takes from a cache."""
    resizes: Sequence[Resize] = RESIZES if mixed_resize else ("antialias",)
    return [_training_key(photo, resize) for photo in photos for resize in resizes]


def evaluation_keys(photos: Sequence[Photo], resize: Resize = "antialias") -> list[Key]:
    """What EvalPhotos takes from a cache."""
    return [_evaluation_key(photo, resize) for photo in photos]


def _evaluation_key(photo: Photo, resize: Resize) -> Key:
    return photo.path, resize, False


def _training_key(photo: Photo, resize: Resize) -> Key:
    # Plain bilinear and the nearest pixel alias: what they leave out must not have been averaged before.
    return photo.path, resize, resize in ("antialias", "area")


def _resized(key: Key, side: int, cache: ResizedPhotos | None) -> NDArray[np.uint8]:
    """uint8 [side, side, 3]."""
    return cache.pixels(key, partial(_resize, side=side)) if cache else _resize([key], side)[key]


def _resize(keys: Sequence[Key], side: int) -> Pixels:
    """What the keys of one photo stand for, decoded once in full and once at a reduced size, as they need it."""
    path, wanted = keys[0][0], {reduced for _, _, reduced in keys}
    photos: dict[bool, Image.Image] = {}
    if False in wanted:
        photos[False] = load_checked(path)
    if True in wanted:
        small = False in wanted and min(photos[False].size) < 2 * _DECODED * side  # Nothing would be reduced.
        photos[True] = photos[False] if small else load_checked(path, _DECODED * side)
    return {key: np.asarray(stretch(photos[key[2]], side, key[1])) for key in keys}


def steps_per_epoch(photos: int, batch_size: int, processes: int = 1) -> int:
    """Full batches in an epoch; a data set smaller than one batch is one batch."""
    return max(1, photos // (batch_size * processes))


def shuffled_batches(
    labels: Sequence[int], batch_size: int, seed: int, epoch: int, rank: int = 0, processes: int = 1
) -> list[list[int]]:
    """This process's batches of photo indices in one epoch: shuffled, no photo twice, the last partial batch dropped.

    labels: the class of each photo. Raises PmsiError when a process would get fewer than two photos (BatchNorm needs
    two).
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, _ORDER, epoch))
    order = torch.randperm(len(labels), generator=generator).tolist()
    return _share(order, batch_size, rank, processes)


def evened_batches(
    labels: Sequence[int], batch_size: int, seed: int, epoch: int, rank: int = 0, processes: int = 1
) -> list[list[int]]:
    """As `shuffled_batches`, but of each class as many photos as of the others, or one more.

    A class's photos come in a random order, and again in another when all have been.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, _ORDER, epoch))

    def shuffled(items: list[int]) -> Iterator[int]:
        while True:
            yield from (items[index] for index in torch.randperm(len(items), generator=generator).tolist())

    by_class = {label: shuffled(photos) for label, photos in _by_class(labels).items()}
    order = [next(by_class[label]) for label in islice(shuffled(list(by_class)), len(labels))]
    return _share(order, batch_size, rank, processes)


def _share(order: list[int], batch_size: int, rank: int, processes: int) -> list[list[int]]:
    photos = len(order)
    batch_size = min(batch_size, photos // processes)
    if batch_size < 2:
        raise PmsiError(f"{photos} training photos are too few for {processes} processes: at least two each are needed")
    share = order[rank::processes]
    steps = steps_per_epoch(photos, batch_size, processes)
    return [share[step * batch_size : (step + 1) * batch_size] for step in range(steps)]


def _by_class(labels: Sequence[int]) -> dict[int, list[int]]:
    """The photos of each class."""
    by_class: dict[int, list[int]] = {}
    for photo, label in enumerate(labels):
        by_class.setdefault(label, []).append(photo)
    return by_class


def balanced_batches(
    labels: Sequence[int], batch_size: int, seed: int, epoch: int, rank: int = 0, processes: int = 1
) -> list[list[int]]:
    """This process's batches of photo indices in one epoch: of each of batch_size // 4 random classes four photos, or
    more where there are fewer classes.

    As many batches as of shuffled photos. A class's photos come in a random order, in another when too few are left;
    twice in a batch where the class has too few. Raises PmsiError for batches of fewer than four photos.
    """
    if batch_size < _PER_CLASS:
        raise PmsiError(
            f"batches of {batch_size} photos hold no pairs of two classes: set train.batch_size to 4 or more"
        )
    generator = torch.Generator().manual_seed(derive_seed(seed, _ORDER, epoch))
    by_class = _by_class(labels)
    classes = min(max(2, batch_size // _PER_CLASS), len(by_class))
    each = batch_size // classes
    left: dict[int, list[int]] = {label: [] for label in by_class}
    batches = []
    for _ in range(steps_per_epoch(len(labels), batch_size, processes) * processes):
        batch = []
        for index in torch.randperm(len(by_class), generator=generator)[:classes].tolist():
            label, photos = list(by_class.items())[index]
            if len(left[label]) < each:
                rounds = math.ceil(each / len(photos))
                orders = [torch.randperm(len(photos), generator=generator).tolist() for _ in range(rounds)]
                left[label] = [photos[index] for order in orders for index in order]
            batch += left[label][:each]
            del left[label][:each]
        batches.append(batch)
    return batches[rank::processes]


def train_loader(dataset: TrainPhotos, batches: list[list[int]], workers: int) -> DataLoader[tuple[Tensor, int]]:
    """The given batches in order."""
    return DataLoader(dataset, batch_sampler=batches, **_processes(dataset, workers))


def eval_loader(dataset: EvalPhotos, batch_size: int, workers: int) -> DataLoader[tuple[Tensor, int]]:
    """All photos once, in order."""
    return DataLoader(dataset, batch_size=batch_size, **_processes(dataset, workers))


def _processes(dataset: TrainPhotos | EvalPhotos, workers: int) -> dict[str, Any]:
    # On the cores that the network runs on, processes that decode nothing cost more to start than they do.
    alone = dataset.kept and not torch.accelerator.is_available()
    return {
        "num_workers": 0 if alone else workers,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": _leave_group,
    }


def _leave_group(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal's group: the training process says when its workers end."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
