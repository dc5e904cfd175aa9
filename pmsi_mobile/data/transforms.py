"""From a photo to the uint8 tensor that training, evaluation and export all see."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.resizes import RESIZES, Resize, eval_pixels, stretch


def eval_transform(photo: Image.Image, preprocessing: Preprocessing, resize: Resize = "antialias") -> Tensor:
    """Stretch, centre crop -> uint8 [3, crop, crop]."""
    return _as_tensor(eval_pixels(photo, preprocessing, resize))


def train_transform(
    photo: Image.Image, preprocessing: Preprocessing, generator: torch.Generator, *, mixed_resize: bool = False
) -> Tensor:
    """Stretch, random crop, horizontal flip half of the time -> uint8 [3, crop, crop].

    mixed_resize: each photo is resized in one of the ways of RESIZES at random, so that the network does not come to
    depend on one of them.
    """
    crop = preprocessing.crop
    top, left = torch.randint(preprocessing.resize - crop + 1, (2,), generator=generator).tolist()
    flip = bool(torch.rand((), generator=generator) < 0.5)
    resize = RESIZES[int(torch.randint(len(RESIZES), (), generator=generator))] if mixed_resize else "antialias"
    cropped = np.asarray(stretch(photo, preprocessing.resize, resize).crop((left, top, left + crop, top + crop)))
    return _as_tensor(cropped[:, ::-1] if flip else cropped)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 [B, 3, H, W] -> float32, (x / 255 - mean) / std per channel."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(3, 1, 1)
    return (images / 255 - mean) / std


def _as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 [H, W, 3] -> uint8 [3, H, W]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
