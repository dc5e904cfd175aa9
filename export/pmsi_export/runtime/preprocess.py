"""From a photo file to the pixels that every runner takes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_export.runtime.runner import Image
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import RESIZES, Resize, eval_pixels


def load_image(path: Path, preprocessing: Preprocessing) -> Image:
    """Decode, stretch, centre crop -> uint8 [crop, crop, 3]. Raises UnreadableImage."""
    return eval_pixels(load_rgb(path), preprocessing)


def load_resized(path: Path, preprocessing: Preprocessing) -> dict[Resize, Image]:
    """The photo resized in each way, decoded once."""
    photo = load_rgb(path)
    return {resize: eval_pixels(photo, preprocessing, resize) for resize in RESIZES}


def load_images(paths: Iterable[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The same of several photos -> uint8 [N, crop, crop, 3]. Raises UnreadableImage."""
    return np.stack([load_image(path, preprocessing) for path in paths])
