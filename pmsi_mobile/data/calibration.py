"""Training photos kept in the run folder, for the ranges and the rounding of an int8 export."""

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from pmsi_mobile.config import Config
from pmsi_mobile.data.images import load_checked
from pmsi_mobile.data.resizes import stretch
from pmsi_mobile.data.splits import Photo

FOLDER = "calibration"
PHOTOS = 256
_JPEG_QUALITY = 95


def save_calibration(photos: Sequence[Photo], config: Config, folder: Path) -> None:
    """Write up to PHOTOS of `photos`, drawn with the run's seed, at the size that training crops from.

    A folder that is there already is left as it is; a new one appears when it is complete.
    """
    if folder.exists():
        return
    chosen = random.Random(f"{config.seed} calibration").sample(photos, min(PHOTOS, len(photos)))
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        for number, photo in enumerate(chosen):
            image = stretch(load_checked(photo.path), config.preprocessing.resize, "antialias")
            image.save(temporary / f"{number:03}.jpg", quality=_JPEG_QUALITY)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
