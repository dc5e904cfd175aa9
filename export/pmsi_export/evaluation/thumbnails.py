"""Small pictures of photos that go into a page."""

import base64
import io
from pathlib import Path

from PIL import Image

from pmsi_mobile.data.images import UnreadableImage, load_rgb

SIDE = 160
"""Pixels of the longer side: about 6 kB in the page."""
_QUALITY = 70


def thumbnail(path: Path) -> str:
    """A photo as `data:image/jpeg;base64,...`; a grey one for one that can no longer be read."""
    try:
        photo = load_rgb(path, SIDE)
    except UnreadableImage:
        photo = Image.new("RGB", (SIDE, SIDE), "grey")
    photo.thumbnail((SIDE, SIDE))
    jpeg = io.BytesIO()
    photo.save(jpeg, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}"
