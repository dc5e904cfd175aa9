"""From a photo to the uint8 tensor that training, evaluation and export all see."""

from typing import Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pmsi_mobile.config import Preprocessing

Resize = Literal["antialias", "bilinear", "nearest", "area"]
"""How a photo is made smaller: bilinear with antialias (PIL, torchvision), plain bilinear (Android's
createScaledBitmap, GPU textures), nearest pixel, mean of the covered area (OpenCV's INTER_AREA)."""
RESIZES: tuple[Resize, ...] = get_args(Resize)


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
    filters = {
        "antialias": Image.Resampling.BILINEAR,
        "nearest": Image.Resampling.NEAREST,
        "area": Image.Resampling.BOX,
    }
    return photo.resize((side, side), filters[resize])
