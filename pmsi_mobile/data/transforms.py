"""From a photo to the uint8 tensor that training, evaluation and export all see."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.resizes import RESIZES, Resize


def eval_transform(photo: Image.Image, preprocessing: Preprocessing, resize: Resize = "antialias") -> Tensor:
    """Stretch, centre crop -> uint8 [3, crop, crop]."""
    stretched = stretch(photo, preprocessing.resize, resize)
    return F.pil_to_tensor(F.center_crop(stretched, [preprocessing.crop, preprocessing.crop]))


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
    cropped = F.crop(stretch(photo, preprocessing.resize, resize), top, left, crop, crop)
    return F.pil_to_tensor(F.horizontal_flip(cropped) if flip else cropped)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 [B, 3, H, W] -> float32, (x / 255 - mean) / std per channel."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(3, 1, 1)
    return (images / 255 - mean) / std


def stretch(photo: Image.Image, side: int, resize: Resize) -> Image.Image:
    """RGB photo -> side x side, whatever its proportions were."""
    if resize == "bilinear":
        # PIL's own filters always cover what they leave out.
        plain = F.resize(F.pil_to_tensor(photo), [side, side], F.InterpolationMode.BILINEAR, antialias=False)
        return F.to_pil_image(plain)
    if resize == "area":
        rows, columns = (_overlaps(length, side) for length in (photo.height, photo.width))
        means = np.einsum("yh,hwc,xw->yxc", rows, np.asarray(photo, np.float32), columns, optimize=True)
        return Image.fromarray(np.round(means).astype(np.uint8))
    filters = {"antialias": Image.Resampling.BILINEAR, "nearest": Image.Resampling.NEAREST}
    return photo.resize((side, side), filters[resize])


def _overlaps(length: int, side: int) -> NDArray[np.float32]:
    """Share of each of `length` old pixels in each of `side` new ones, [side, length]; rows sum to 1."""
    edges = np.linspace(0, length, side + 1)[:, None]
    pixels = np.arange(length)
    covered = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (np.clip(covered, 0, None) * side / length).astype(np.float32)
