"""SnapMix: semantically proportional mixing (Huang et al. 2021, SnapMix)."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BETA = 5.0
"""Both boxes' areas are 1 - lambda of the image, lambda ~ Beta(BETA, BETA); for fine-grained photos as published."""


def snapmix(
    images: Tensor, labels: Tensor, maps: Tensor, classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Put a box of each image's partner, resized, into a box of the image; labels weigh by what the boxes hold.

    images: [B, C, H, W], float. labels: int64 [B]. maps: class activation maps [B, H, W] that sum to 1 per image.
    Returns images and targets [B, K]: the target of an image is (1 - S_a(box a)) of its class and S_b(box b) of its
    partner's, S being the sums of the maps; they need not sum to 1.
    """
    partners = torch.randperm(len(images), generator=generator).to(images.device)
    height, width = images.shape[-2:]
    box, box_of_partner = (random_box(height, width, generator) for _ in range(2))
    mixed = images.clone()
    content = images[partners][..., *box_of_partner]
    place = mixed[..., *box]
    place.copy_(F.interpolate(content, place.shape[-2:], mode="bilinear", align_corners=True))
    kept = 1 - maps[:, *box].sum((1, 2))
    added = maps[partners][:, *box_of_partner].sum((1, 2))
    one_hot = F.one_hot(labels, classes).to(images.dtype)
    return mixed, kept[:, None] * one_hot + added[:, None] * one_hot[partners]


def random_box(height: int, width: int, generator: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box of at least one pixel around a uniform centre, cut at the border (CutMix, Yun et al.
    2019)."""
    # PyTorch's own Beta takes no generator.
    seed = int(torch.randint(2**31, (), generator=generator))
    share = (1 - np.random.default_rng(seed).beta(BETA, BETA)) ** 0.5

    def side(length: int) -> slice:
        half = int(length * share) // 2
        centre = int(torch.randint(length, (), generator=generator))
        return slice(max(0, centre - half), min(length, centre + half + 1))

    return side(height), side(width)


def proportions(maps: Tensor, height: int, width: int) -> Tensor:
    """Class activation maps [B, h, w] -> [B, height, width], non-negative, that sum to 1; uniform where a map is."""
    large = F.interpolate(maps[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
    risen = large - large.amin((1, 2), keepdim=True)
    total = risen.sum((1, 2), keepdim=True)
    return torch.where(total > 0, risen / total, 1 / (height * width))
