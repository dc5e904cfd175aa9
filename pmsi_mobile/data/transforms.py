"""From a photo to the uint8 tensor that training, evaluation and export all see."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.resizes import RESIZES, Resize, centre, stretch


def eval_transform(photo: Image.Image, preprocessing: Preprocessing, resize: Resize = "antialias") -> Tensor:
    """Stretch, centre crop -> uint8 [3, crop, crop]."""
    return as_tensor(centre(np.asarray(stretch(photo, preprocessing.resize, resize)), preprocessing.crop))


class View(NamedTuple):
    """What is drawn for a training photo: where its crop begins, whether it is mirrored, how it is resized."""

    top: int
    left: int
    flip: bool
    resize: Resize


def draw_view(preprocessing: Preprocessing, generator: torch.Generator, *, mixed_resize: bool = False) -> View:
    """Each crop is as likely as any other; half of the photos are mirrored.

    mixed_resize: each photo is resized in one of the ways of RESIZES at random, so that the network does not come to
    depend on one of them.
    """
    top, left = torch.randint(preprocessing.resize - preprocessing.crop + 1, (2,), generator=generator).tolist()
    flip = bool(torch.rand((), generator=generator) < 0.5)
    resize = RESIZES[int(torch.randint(len(RESIZES), (), generator=generator))] if mixed_resize else "antialias"
    return View(top, left, flip, resize)


def train_transform(photo: Image.Image, preprocessing: Preprocessing, view: View) -> Tensor:
    """Stretch, crop, flip -> uint8 [3, crop, crop]."""
    return view_of(np.asarray(stretch(photo, preprocessing.resize, view.resize)), preprocessing.crop, view)


def view_of(pixels: NDArray[np.uint8], crop: int, view: View) -> Tensor:
    """Stretched photo [H, W, 3], cropped and mirrored -> uint8 [3, crop, crop]."""
    cropped = pixels[view.top : view.top + crop, view.left : view.left + crop]
    return as_tensor(cropped[:, ::-1] if view.flip else cropped)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 [B, 3, H, W] -> float32, (x / 255 - mean) / std per channel."""
    mean, std = _statistics(preprocessing.mean, preprocessing.std, images.device)
    return (images / 255 - mean) / std


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 [H, W, 3] -> uint8 [3, H, W]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@cache
def _statistics(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """[3, 1, 1] each; kept, for a copy to a GPU waits for all that the GPU has been given to do."""
    # Autograd refuses tensors of an inference_mode that may have been the first to ask.
    with torch.inference_mode(False):
        return tuple(torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))  # type: ignore[return-value]
