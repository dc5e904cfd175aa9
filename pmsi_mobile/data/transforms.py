"""From a photo to the uint8 tensor that training, evaluation and export all see."""

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from pmsi_mobile.config import Preprocessing


def eval_transform(photo: Image.Image, preprocessing: Preprocessing) -> Tensor:
    """Stretch, centre crop -> uint8 [3, crop, crop]."""
    return F.pil_to_tensor(F.center_crop(_stretch(photo, preprocessing), [preprocessing.crop, preprocessing.crop]))


def train_transform(photo: Image.Image, preprocessing: Preprocessing, generator: torch.Generator) -> Tensor:
    """Stretch, random crop, horizontal flip half of the time -> uint8 [3, crop, crop]."""
    crop = preprocessing.crop
    top, left = torch.randint(preprocessing.resize - crop + 1, (2,), generator=generator).tolist()
    cropped = F.crop(_stretch(photo, preprocessing), top, left, crop, crop)
    flip = bool(torch.rand((), generator=generator) < 0.5)
    return F.pil_to_tensor(F.horizontal_flip(cropped) if flip else cropped)


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 [B, 3, H, W] -> float32, (x / 255 - mean) / std per channel."""
    mean = torch.tensor(preprocessing.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocessing.std, device=images.device).view(3, 1, 1)
    return (images / 255 - mean) / std


def _stretch(photo: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size = [preprocessing.resize, preprocessing.resize]
    return F.resize(photo, size, interpolation=F.InterpolationMode.BILINEAR, antialias=True)
