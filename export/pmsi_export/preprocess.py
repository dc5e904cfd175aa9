"""From a photo file to the pixels that every runner takes."""

from pathlib import Path

from pmsi_export.runner import Image
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.transforms import eval_transform


def load_image(path: Path, preprocessing: Preprocessing) -> Image:
    """Decode, stretch, centre crop -> uint8 [crop, crop, 3]. Raises UnreadableImage."""
    return eval_transform(load_rgb(path), preprocessing).permute(1, 2, 0).contiguous().numpy()
