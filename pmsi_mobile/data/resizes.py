"""From a photo to the pixels that a network takes, in the ways in which the programs that use a model make a photo
smaller. PIL and NumPy only: predictions need no PyTorch."""

from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pmsi_mobile.config import Preprocessing, Resize

RESIZES: tuple[Resize, ...] = get_args(Resize)


def eval_pixels(photo: Image.Image, preprocessing: Preprocessing, resize: Resize = "antialias") -> NDArray[np.uint8]:
    """RGB photo -> stretched, cropped in the centre: uint8 [crop, crop, 3]."""
    # A copy: PyTorch warns of memory that it must not write to.
    return centre(np.asarray(stretch(photo, preprocessing.resize, resize)), preprocessing.crop).copy()


def centre(pixels: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
    """[H, W, 3] -> its middle [crop, crop, 3]."""
    # Python rounds halves to even, and so does torchvision's center_crop.
    top, left = (round((length - crop) / 2) for length in pixels.shape[:2])
    return pixels[top : top + crop, left : left + crop]


def stretch(photo: Image.Image, side: int, resize: Resize) -> Image.Image:
    """RGB photo -> side x side, whatever its proportions were."""
    if resize == "antialias":
        return photo.resize((side, side), Image.Resampling.BILINEAR)
    if resize == "nearest":
        return photo.resize((side, side), Image.Resampling.NEAREST)
    # PIL's other filters always cover what they leave out, and its BOX takes whole pixels only.
    pixels = np.asarray(photo)
    resized = _plain_bilinear(pixels, side) if resize == "bilinear" else _area(pixels, side)
    return Image.fromarray(np.rint(resized).astype(np.uint8))


def _plain_bilinear(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The same as torch's `interpolate` without antialias on float32 pixels."""
    (top, bottom, down), (left, right, across) = (_neighbours(length, side) for length in pixels.shape[:2])
    down, across = down[:, None, None], across[None, :, None]
    upper, lower = (rows[:, left] * (1 - across) + rows[:, right] * across for rows in (pixels[top], pixels[bottom]))
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _neighbours(length: int, side: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Of each of `side` new pixels' centres: the old pixels before and after it, and the share of the latter."""
    centres = np.maximum((np.arange(side) + 0.5) * (length / side) - 0.5, 0)
    before = centres.astype(np.intp)
    return before, np.minimum(before + 1, length - 1), (centres - before).astype(np.float32)


def _area(pixels: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    rows = _covered_means(pixels, side)
    return _covered_means(rows.transpose(1, 0, 2), side).transpose(1, 0, 2)


def _covered_means(rows: NDArray[np.generic], side: int) -> NDArray[np.float32]:
    """[length, width, 3] -> [side, width, 3]: each new row is the mean of what it covers of the old ones."""
    length = len(rows)
    edges = np.linspace(0, length, side + 1)
    means = np.empty((side, *rows.shape[1:]), np.float32)
    for row, (start, stop) in enumerate(pairwise(edges)):
        first, last = int(start), min(int(np.ceil(stop)), length)
        old = np.arange(first, last)
        covered = np.minimum(stop, old + 1) - np.maximum(start, old)
        shares = (covered / (stop - start)).astype(np.float32)
        means[row] = np.tensordot(shares, rows[first:last].astype(np.float32), axes=1)
    return means
