"""From a photo file to the pixels that every runner takes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_export.runner import Image
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.resizes import Resize
from pmsi_mobile.data.transforms import eval_transform


def load_image(path: Path, preprocessing: Preprocessing, resize: Resize = "antialias") -> Image:
    """Decode, stretch, centre crop -> uint8 [crop, crop, 3]. Raises UnreadableImage."""
    return eval_transform(load_rgb(path), preprocessing, resize).permute(1, 2, 0).contiguous().numpy()


def load_images(paths: Iterable[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The same of several photos -> uint8 [N, crop, crop, 3]."""
    return np.stack([load_image(path, preprocessing) for path in paths])
