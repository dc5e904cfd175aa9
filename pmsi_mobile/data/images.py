"""Photo files as 8-bit RGB images, upright, whatever they were on disk."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pmsi_mobile.errors import PmsiError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif"}
)
_CLUTTER = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})

# Pillow only warns about a size that `_check_size` refuses, and catching a warning per image is not thread-safe.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class UnreadableImage(ValueError):
    """A file that cannot be decoded to RGB; the message is the reason in a few words."""


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left by an operating system."""
    return name.startswith(".") or name in _CLUTTER


def list_images(folder: Path) -> list[Path]:
    """Every file below `folder` with an image's suffix, sorted, clutter left out. Raises PmsiError for none."""
    paths = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES and not any(map(is_clutter, file.relative_to(folder).parts))
    )
    if not paths:
        raise PmsiError(f"folder {folder} has no photos ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return paths


def load_rgb(path: Path) -> Image.Image:
    """Decode a photo: mode RGB, EXIF orientation applied, 16-bit grey scaled to 8, transparency over white.

    Raises UnreadableImage for a file that is missing, truncated, corrupt, no image, of float pixels, or larger than
    Pillow's limit against decompression bombs.
    """
    return _read(path, reduced=False)


def load_checked(path: Path) -> Image.Image:
    """`load_rgb` of a photo that could be read when it was checked. Raises PmsiError, which names it, for one that
    cannot be read any more."""
    try:
        return load_rgb(path)
    except UnreadableImage as error:
        raise PmsiError(
            f"{path} could be read before and cannot now ({error}): restore it, or start a new run"
        ) from None


def check_image(path: Path) -> str | None:
    """Decode a file to its last byte and return why `load_rgb` would refuse it, or None."""
    try:
        _read(path, reduced=True)
    except UnreadableImage as error:
        return str(error)
    return None


def _read(path: Path, reduced: bool) -> Image.Image:
    try:
        with Image.open(path) as image:
            _check_size(image.width, image.height)
            if reduced:
                # A JPEG is then scaled down to an eighth while it is decoded; other formats ignore it.
                image.draft(None, (image.width // 8 or 1, image.height // 8 or 1))
            return _to_rgb(ImageOps.exif_transpose(image))
    except UnreadableImage:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImage("too large") from None
    except UnidentifiedImageError:
        raise UnreadableImage("empty file" if path.stat().st_size == 0 else "not an image") from None
    except OSError as error:
        reason = error.strerror or ("truncated" if "truncated" in str(error) else "corrupt")
        raise UnreadableImage(reason.lower()) from None
    except Exception:  # Pillow's decoders raise anything from SyntaxError to struct.error on damaged files.
        raise UnreadableImage("corrupt") from None


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise UnreadableImage("no pixels")
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        raise UnreadableImage(f"too large ({width} x {height} pixels)")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnreadableImage("float pixels")
    if image.mode.startswith("I"):
        return _from_16_bit(image).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise UnreadableImage("32-bit pixels")
    return Image.fromarray(np.round(grey / 257).astype(np.uint8))
