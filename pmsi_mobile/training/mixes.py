"""Two photos of a batch in one, with the labels of both."""

import torch
from torch import Tensor

from pmsi_mobile.augmentations.snapmix import proportions, snapmix
from pmsi_mobile.config import MIXES_PHOTOS, Augment
from pmsi_mobile.methods.activation_maps import class_activation_maps
from pmsi_mobile.methods.registry import Network

CUTMIX_BETA = 3.0
MIXUP_SHARE = 0.5
"""Of the batches that are mixed, as SnapMix's authors train with it."""


def mix_photos(
    augment: Augment, images: Tensor, labels: Tensor, network: Network, classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Normalised images [B, 3, H, W] and labels [B] -> images and, where they are mixed, targets [B, K].

    SnapMix looks at the class activation maps of `network`. CutMix and MixUp draw from PyTorch's global generator.
    """
    if augment == "snapmix":
        maps = proportions(class_activation_maps(network, images, labels), *images.shape[-2:])
        return snapmix(images, labels, maps, classes, generator)
    if augment not in MIXES_PHOTOS:
        return images, labels
    from torchvision.transforms import v2  # slow to import, and most runs have no need of it

    if augment == "cutmix":
        return v2.CutMix(alpha=CUTMIX_BETA, num_classes=classes)(images, labels)
    return v2.RandomApply([v2.MixUp(num_classes=classes)], MIXUP_SHARE)(images, labels)
