import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from pmsi_mobile.data import images
from pmsi_mobile.data.files import list_images
from pmsi_mobile.data.images import UnreadableImage, load_rgb

GRADIENT = np.arange(64 * 48, dtype=np.uint32).reshape(48, 64)


def save(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


def noise(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def refusal(path: Path) -> str | None:
    """Why a file is no photo."""
    try:
        load_rgb(path, 1)
    except UnreadableImage as error:
        return error.reason
    return None


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
    assert refusal(path) is None
    image = load_rgb(path)
    assert (image.mode, image.size) == ("RGB", (64, 48))


def test_a_tiny_photo_is_a_photo(tmp_path):
    assert refusal(save(tmp_path, noise().resize((3, 2)), "tiny.jpg")) is None


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
    assert refusal(write(tmp_path, content[: len(content) * 2 // 3])) == "truncated"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"<html>404</html>", "not an image"), (damaged("PNG"), "corrupt")],
)
def test_files_that_are_no_photos_are_refused_with_a_reason(tmp_path, content, reason):
    path = write(tmp_path, content)
    assert refusal(path) == reason
    with pytest.raises(UnreadableImage, match=reason):
        load_rgb(path)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(GRADIENT.astype(np.float32), "float pixels"), (GRADIENT.astype(np.int32) * 1000, "32-bit pixels")],
)
def test_measurements_stored_as_images_are_refused(tmp_path, pixels, reason):
    assert refusal(save(tmp_path, Image.fromarray(pixels), "depth.tif")) == reason


def test_a_missing_file_is_refused(tmp_path):
    assert refusal(tmp_path / "none.jpg") == "no such file or directory"


@pytest.mark.parametrize("limit", [2000, 1000])
def test_decompression_bombs_are_refused(tmp_path, monkeypatch, limit):
    path = save(tmp_path, noise(), "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert refusal(path).startswith("too large")


def test_an_unreadable_photo_is_named(tmp_path):
    path = write(tmp_path, encoded("PNG")[:300], "a.png")
    with pytest.raises(UnreadableImage, match=r"a\.png cannot be read \(truncated\): replace it") as error:
        load_rgb(path)
    assert error.value.reason == "truncated"


def heif(path: Path, **options: object) -> Path:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(noise().resize((640, 480))).save(path, quality=95, **options)
    return path


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.heif", "IMG_1.jpg", "IMG_1"])
def test_heic_is_a_photo_under_any_name(tmp_path, name):
    path = heif(tmp_path / "x.heic").rename(tmp_path / name)
    assert refusal(path) is None
    difference = np.asarray(load_rgb(path), int) - np.asarray(noise().resize((640, 480)), int)
    assert np.abs(difference).mean() < 12


def test_heic_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "IMG_1.HEIC")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    images._register_heif.cache_clear()
    assert "pip install 'pmsi-mobile[heif]'" in refusal(path)
    images._register_heif.cache_clear()


@pytest.mark.parametrize(("kind", "value"), [(5, struct.pack("<I", 38)), (11, struct.pack("<f", 1.0)), (7, b"abcd")])
def test_exif_tags_of_a_wrong_type_do_no_harm(tmp_path, kind, value):
    make = struct.pack("<HHI", 0x010F, kind, 1) + value  # a name, as a fraction (which stands at 38), a number, bytes
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + make + orientation + struct.pack("<III", 0, 1, 3)
    path = save(tmp_path, noise(), "odd.jpg", exif=exif)
    assert refusal(path) is None
    assert load_rgb(path).size == (48, 64)


@pytest.mark.parametrize("value", ["6", (6, 6), 99, -1])
def test_an_orientation_that_is_none_leaves_the_photo_as_it_is(tmp_path, monkeypatch, value):
    monkeypatch.setattr(Image.Image, "getexif", lambda self: {0x0112: value})
    assert load_rgb(save(tmp_path, noise(), "a.png")).size == (64, 48)


def test_exif_that_cannot_be_read_leaves_the_photo_as_it_is(tmp_path):
    path = save(tmp_path, noise(), "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert load_rgb(path).size == (64, 48)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_png_with_much_text_is_a_photo(tmp_path, compressed):
    info = PngImagePlugin.PngInfo()
    info.add_text("history", "edited " * 400_000, zip=compressed)
    assert refusal(save(tmp_path, noise(), "edited.png", pnginfo=info)) is None


def test_text_without_bounds_is_refused(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "0" * (65 << 20), zip=True)
    assert refusal(save(tmp_path, noise(), "bomb.png", pnginfo=info)) == "more than 64 MB of text in it"


# Primaries adapted to D50, in XYZ.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def icc_profile(space: bytes = b"RGB ", padding: int = 0) -> bytes:
    """A matrix profile with the primaries of Display P3 and gamma 2.2, as cameras and iPhones embed them."""

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 3) + b"P3\0" + bytes(82),
        b"wtpt": xyz((0.9642, 1.0, 0.8249)),
        b"cprt": b"text\0\0\0\0none\0",
        b"kTRC": b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(1.4 * 256), 0),
        b"junk": b"data\0\0\0\0" + bytes(padding),
    }
    for channel, primary in zip((b"r", b"g", b"b"), DISPLAY_P3, strict=True):
        tags |= {channel + b"XYZ": xyz(primary), channel + b"TRC": b"curv\0\0\0\0" + struct.pack(">IHH", 1, 563, 0)}
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI4s4s4s12x4s28x3i48x", start + len(data), b"none", 0x02400000, b"mntr", space, b"XYZ ",
                         b"acsp", 63190, 65536, 54061)  # fmt: skip
    return header + table + data


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_wide_gamut_colours_become_those_of_srgb(tmp_path, name):
    photo = Image.new("RGB", (16, 16), (200, 60, 50))
    path = save(tmp_path, photo, name, icc_profile=icc_profile(), quality=100)
    red, green, blue = (int(value) for value in np.asarray(load_rgb(path))[8, 8])
    # By the matrices of both spaces, gamma 2.2: the same red needs more of sRGB's.
    assert abs(red - 219) <= 3
    assert abs(green - 37) <= 6
    assert abs(blue - 36) <= 6


def test_transparent_photos_have_a_profile_too(tmp_path):
    photo = Image.new("RGBA", (16, 16), (200, 60, 50, 255))
    photo.paste((0, 0, 0, 0), (0, 0, 8, 16))
    pixels = np.asarray(load_rgb(save(tmp_path, photo, "a.png", icc_profile=icc_profile())), int)
    assert (pixels[:, :8] == 255).all()
    assert abs(pixels[0, 12, 0] - 219) <= 3


def test_grey_photos_have_one_too(tmp_path):
    path = save(tmp_path, Image.new("L", (8, 8), 100), "a.png", icc_profile=icc_profile(b"GRAY"))
    assert load_rgb(path).getpixel((0, 0))[0] > 120  # gamma 1.4 is lighter


@pytest.mark.parametrize(
    "profile",
    [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"no profile", icc_profile()[:200],
     icc_profile(b"GRAY"), icc_profile(b"CMYK")],
    ids=["sRGB", "nonsense", "truncated", "grey", "CMYK"],
)  # fmt: skip
def test_profiles_that_say_nothing_change_nothing(tmp_path, profile):
    path = save(tmp_path, noise(), "a.png", icc_profile=profile)
    assert np.array_equal(load_rgb(path), noise())


def test_a_large_profile_is_read(tmp_path):
    path = save(tmp_path, noise(), "a.png", icc_profile=icc_profile(padding=3 << 20))
    assert not np.array_equal(load_rgb(path), noise())


def test_a_large_jpeg_may_be_decoded_at_a_part_of_its_size(tmp_path):
    large = noise().resize((1024, 768), Image.Resampling.BICUBIC)
    path = save(tmp_path, large, "a.jpg", quality=95)
    assert load_rgb(path).size == (1024, 768)
    assert load_rgb(path, at_least=300).size == (512, 384)
    assert load_rgb(path, at_least=800).size == (1024, 768)
    assert load_rgb(save(tmp_path, large, "a.png"), at_least=300).size == (1024, 768)


def test_hidden_files_are_no_photos(tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    for name in ("a.png", "._a.png", "__MACOSX/a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert [path.name for path in list_images(tmp_path)] == ["a.png"]
