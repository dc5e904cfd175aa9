import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pmsi_mobile.data.images import UnreadableImage, check_image, list_images, load_rgb

GRADIENT = np.arange(64 * 48, dtype=np.uint32).reshape(48, 64)


def save(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def noise(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        *(
            ("RGB", "a.jpg"),
            ("RGB", "a.PNG"),
            ("RGB", "a.webp"),
            ("RGB", "a.bmp"),
            ("CMYK", "a.jpg"),
            ("CMYK", "a.tif"),
        ),
        *(("L", "a.jpg"), ("1", "a.png"), ("I;16", "a.png"), ("P", "a.gif"), ("LA", "a.png"), ("RGBA", "a.png")),
    ],
)
def test_every_kind_of_photo_becomes_8_bit_rgb(tmp_path, mode, name):
    path = save(tmp_path, noise("L").convert(mode) if mode in {"I;16", "LA"} else noise(mode), name)
    assert check_image(path) is None
    image = load_rgb(path)
    assert (image.mode, image.size) == ("RGB", (64, 48))


def test_a_tiny_photo_is_a_photo(tmp_path):
    assert check_image(save(tmp_path, noise().resize((3, 2)), "tiny.jpg")) is None


def test_greyscale_is_replicated(tmp_path):
    pixels = np.asarray(load_rgb(save(tmp_path, noise("L"), "grey.png")))
    assert np.array_equal(pixels, np.repeat(np.asarray(noise("L"))[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_16_bit_greyscale_is_scaled_to_8_bit(tmp_path, mode):
    values = np.linspace(0, 65535, 48 * 64).round().reshape(48, 64)
    image = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))
    pixels = np.asarray(load_rgb(save(tmp_path, image, "deep.tif")))
    assert np.array_equal(pixels[..., 0], np.round(values / 257))


def test_a_photo_taken_upright_is_shown_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = save(tmp_path, noise(), "phone.png", exif=exif)
    assert np.array_equal(np.asarray(load_rgb(path)), np.rot90(np.asarray(noise()), -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path, mode):
    clear = Image.new("RGBA", (8, 8), (200, 10, 10, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 4, 8))
    pixels = np.asarray(load_rgb(save(tmp_path, clear.convert(mode), "cut-out.png")))
    assert (pixels[:, :4] == 0).all()
    assert (pixels[:, 4:] == 255).all()


def write(folder: Path, content: bytes, name: str = "a.jpg") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    noise().save(buffer, format)
    return buffer.getvalue()


def damaged(format: str) -> bytes:
    content = encoded(format)
    return content[:200] + b"\0" * 400 + content[600:]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_truncated_photo_is_found(tmp_path, format):
    content = encoded(format)
    assert check_image(write(tmp_path, content[: len(content) * 2 // 3])) == "truncated"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"<html>404</html>", "not an image"), (damaged("PNG"), "corrupt")],
)
def test_files_that_are_no_photos_are_refused_with_a_reason(tmp_path, content, reason):
    path = write(tmp_path, content)
    assert check_image(path) == reason
    with pytest.raises(UnreadableImage, match=reason):
        load_rgb(path)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(GRADIENT.astype(np.float32), "float pixels"), (GRADIENT.astype(np.int32) * 1000, "32-bit pixels")],
)
def test_measurements_stored_as_images_are_refused(tmp_path, pixels, reason):
    assert check_image(save(tmp_path, Image.fromarray(pixels), "depth.tif")) == reason


def test_a_missing_file_is_refused(tmp_path):
    assert check_image(tmp_path / "none.jpg") == "no such file or directory"


@pytest.mark.parametrize("limit", [2000, 1000])
def test_decompression_bombs_are_refused(tmp_path, monkeypatch, limit):
    path = save(tmp_path, noise(), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert check_image(path).startswith("too large")


def test_hidden_files_are_no_photos(tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    for name in ("a.png", "._a.png", "__MACOSX/a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert [path.name for path in list_images(tmp_path)] == ["a.png"]
