"""From a photo file to the pixels that every runner takes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_export.runtime.runner import Image
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import RESIZES, Resize, eval_pixels


def load_image(
    path: Path, preprocessing: Preprocessing, resize: Resize = "antialias", corruption: Corruption | None = None
) -> Image:
    """Decode, stretch, centre crop, corrupt where one says how -> uint8 [crop, crop, 3]. Raises UnreadableImage."""
    pixels = eval_pixels(load_rgb(path), preprocessing, resize)
    return corruption(pixels) if corruption else pixels


def load_resized(path: Path, preprocessing: Preprocessing) -> dict[Resize, Image]:
    """The photo resized in each way, decoded once."""
    photo = load_rgb(path)
    return {resize: eval_pixels(photo, preprocessing, resize) for resize in RESIZES}


def load_images(
    paths: Iterable[Path], preprocessing: Preprocessing, corruption: Corruption | None = None
) -> NDArray[np.uint8]:
    """The same of several photos -> uint8 [N, crop, crop, 3]. Raises UnreadableImage."""
    return np.stack([load_image(path, preprocessing, corruption=corruption) for path in paths])
