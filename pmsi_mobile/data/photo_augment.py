"""Augmentations of single photos by torchvision v2, on uint8, with seeds of their own."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pmsi_mobile.config import Preprocessing, TrainConfig
from pmsi_mobile.data.transforms import View, as_tensor, view_of


class PhotoAugment:
    """`train.random_resized_crop`, `train.trivial_augment` and `train.random_erasing`, in this order.

    What is erased, or moved in from outside, becomes the mean colour, which is 0 for the network.
    """

    def __init__(self, train: TrainConfig, preprocessing: Preprocessing) -> None:
        from torchvision.transforms import v2  # slow to import, and most runs have no need of it

        self.crop = preprocessing.crop
        self.resized_crop: Callable[[Tensor], Tensor] | None = None
        if train.random_resized_crop:
            self.resized_crop = v2.RandomResizedCrop(self.crop, scale=(train.random_resized_crop, 1), antialias=True)
        mean = [round(255 * value) for value in preprocessing.mean]
        self.later: list[Callable[[Tensor], Tensor]] = []
        if train.trivial_augment:
            self.later.append(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR, fill=mean))
        if train.random_erasing:
            self.later.append(v2.RandomErasing(train.random_erasing, value=mean))

    def __call__(self, pixels: NDArray[np.uint8], view: View, seed: int) -> Tensor:
        """Stretched photo [H, W, 3] -> uint8 [3, crop, crop], a function of the arguments."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            if self.resized_crop:
                image = self.resized_crop(as_tensor(pixels[:, ::-1] if view.flip else pixels))
            else:
                image = view_of(pixels, self.crop, view)
            for transform in self.later:
                image = transform(image)
            return image


def photo_augment(train: TrainConfig, preprocessing: Preprocessing) -> PhotoAugment | None:
    """What is configured; None for nothing."""
    wanted = train.random_resized_crop or train.trivial_augment or train.random_erasing
    return PhotoAugment(train, preprocessing) if wanted else None
