"""Photo files as 8-bit sRGB images, upright, whatever they were on disk. No PyTorch: predictions need none."""

import warnings
from functools import cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from pmsi_mobile.data.colour import to_srgb
from pmsi_mobile.data.files import HEIF, sniff
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import how_to_install

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MEGABYTES = 64

# Pillow only warns about a size that `_check_size` refuses, and catching a warning per image is not thread-safe.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# Editors write more than Pillow's 1 MB of text or profile into a PNG. Together they stay bounded.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = _MEGABYTES << 20


class UnreadableImage(PmsiError):
    """A file that cannot be decoded to RGB. The message names it and says what to do; `reason` is a few words."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class _Refused(ValueError):
    """The reason why a file is no photo, in a few words."""


def load_rgb(path: Path, at_least: int | None = None) -> Image.Image:
    """Decode a photo: mode RGB in sRGB, EXIF orientation applied, 16-bit grey scaled to 8, transparency over white.

    at_least: with it a JPEG may be scaled down by 2, 4 or 8 while it is decoded, no side below this many pixels.
    Raises UnreadableImage for a file that is missing, truncated, corrupt, no image, of float pixels, or larger than
    Pillow's limit against decompression bombs.
    """
    try:
        return _read(path, at_least)
    except _Refused as refused:
        reason = str(refused)
        raise UnreadableImage(f"{path} cannot be read ({reason}): replace it or take it out", reason) from None


def load_checked(path: Path, at_least: int | None = None) -> Image.Image:
    """`load_rgb` of a photo that could be read when it was checked. Raises PmsiError, which names it, for one that
    cannot be read any more."""
    try:
        return load_rgb(path, at_least)
    except UnreadableImage as error:
        message = f"{path} could be read before and cannot now ({error.reason}): restore it, or start a new run"
        raise PmsiError(message) from None


def _read(path: Path, at_least: int | None) -> Image.Image:
    try:
        with _open(path) as image:
            _check_size(image.width, image.height)
            if at_least and image.format in ("JPEG", "MPO"):
                image.draft(None, (at_least, at_least))
            image.load()
            return _to_rgb(_upright(image))
    except _Refused:
        raise
    except Image.DecompressionBombError:
        raise _Refused("too large") from None
    except UnidentifiedImageError:
        raise _Refused("empty file" if path.stat().st_size == 0 else "not an image") from None
    except OSError as error:
        reason = error.strerror or ("truncated" if "truncated" in str(error) else "corrupt")
        raise _Refused(reason.lower()) from None
    except MemoryError:
        raise _Refused("too large for this machine's memory") from None
    except Exception as error:  # Pillow's decoders raise anything from SyntaxError to struct.error on damaged files.
        text = "MAX_TEXT" in str(error)
        raise _Refused(f"more than {_MEGABYTES} MB of text in it" if text else "corrupt") from None


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if sniff(path) != HEIF:
            raise
    if not _register_heif():
        raise _Refused(f"HEIC needs {how_to_install('pillow_heif')}, or convert it to JPEG")
    return Image.open(path)


@cache
def _register_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise _Refused("no pixels")
    if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
        raise _Refused(f"too large ({width} x {height} pixels)")


def _upright(image: Image.Image) -> Image.Image:
    # The one tag: ImageOps.exif_transpose writes all of them anew, and fails for one of a wrong type.
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # As its decoders, Pillow's EXIF reader raises anything on damaged data.
        return image
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode == "F":
        raise _Refused("float pixels")
    if image.mode.startswith("I"):
        return to_srgb(_from_16_bit(image), profile)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return to_srgb(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"), profile)
    kept = image.mode in ("L", "CMYK", "RGB")
    return to_srgb(image if kept else image.convert("RGB"), profile)


def _from_16_bit(image: Image.Image) -> Image.Image:
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > 65535:
        raise _Refused("32-bit pixels")
    return Image.fromarray(np.round(grey / 257).astype(np.uint8))
