"""What the app's own tests compare it with: models, photos, and what Python makes of them.

    python tests/android_demo/fixtures.py FOLDER [MODEL...]

Models are the small ones of `tests/export/fixtures`, and those that are named.
"""

import hashlib
import io
import json
import shutil
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pmsi_export.checks.gates import GATES, agreement
from pmsi_export.contract.golden_samples import GoldenSamples, write_golden
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import container, format_of
from pmsi_export.runtime.preprocess import load_image
from pmsi_export.runtime.runner import Runner
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.transforms import eval_transform
from tests.conftest import SHARED
from tests.export.conftest import draw_picture, run_command

V1 = Path(__file__).parents[1] / "export" / "fixtures" / "v1"
APP_RESULT = Path(__file__).parents[1] / "benchmarks" / "app_result.json"
"""What pmsi-bench reads of a benchmark of the app."""
SUFFIXES = (".tflite", ".onnx", ".pte")
REAL_PHOTOS = 60
SIZES = ((256, 256), (640, 480), (480, 640), (1280, 960), (333, 77), (60, 45), (1000, 1500), (2048, 1536))


def write_fixtures(folder: Path, further: Sequence[Path] = ()) -> None:
    """Fill `folder`, which does not exist yet."""
    for name in ("models", "assets/models", "broken", "confidence", "protected", "unprotected", "not-finite"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("photos", "pixels", "frames", "wide-gamut"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for model in small_models(folder):
        shutil.copy(model, folder / "models")
    for model in further:
        shutil.copy(model, folder / "models" / f"{model.parent.name}-{model.name}")
    write_app(folder)
    write_broken(folder / "broken")
    write_contracts(folder)
    write_confidence(folder / "confidence")
    [scored] = (folder / "scored").glob("*.onnx")
    write_scored(scored, folder / "confidence")
    write_not_finite(folder / "not-finite" / "not-finite.onnx")
    write_not_finite_score(scored, folder / "not-finite" / "score-not-finite.onnx")
    write_judgements(folder)
    shutil.copy(APP_RESULT, folder)
    write_frames(folder / "frames")
    write_wide_gamut(folder / "wide-gamut")
    photos = list(write_photos(folder / "photos"))
    write_expectations(folder, photos)


def small_models(folder: Path) -> list[Path]:
    """The kept files, two that end in the three largest probabilities, two with a score for photos of no class."""
    variants = {
        "top-3": ("--format", "tflite", "--format", "onnx", "--top-k", 3),
        "scored": ("--format", "tflite", "--format", "onnx", "--unknown-score", "--name", "scored"),
    }
    for name, variant in variants.items():
        result = run_command("pmsi-export", V1 / "ckpt.pt", *variant, "--no-verify", "--output", folder / name)
        assert result.status == 0, result.stderr
    folders = (V1, folder / "top-3", folder / "scored")
    return [path for parent in folders for path in sorted(parent.iterdir()) if path.suffix in SUFFIXES]


def write_app(folder: Path) -> None:
    """The golden samples of the small checkpoint beside the models, and what the app under test has in its assets."""
    golden = load_checkpoint(V1 / "ckpt.pt").golden
    samples = GoldenSamples(golden.images.permute(0, 2, 3, 1).numpy(), golden.probabilities.numpy())
    for target in (folder / "models", folder / "assets" / "models"):
        write_golden(samples, read_contract(V1 / "ckpt.onnx"), target / "ckpt.golden.zip")
    for name in ("ckpt.onnx", "ckpt-int8.onnx", "ckpt.tflite"):
        shutil.copy(V1 / name, folder / "assets" / "models")


def write_broken(folder: Path) -> None:
    """Files that the app must refuse, and what it has to say."""
    problems = {}

    def keep(name: str, content: bytes, problem: str) -> Path:
        problems[name] = problem
        path = folder / name
        path.write_bytes(content)
        return path

    for suffix in SUFFIXES:
        model = V1 / f"ckpt{suffix}"
        content = model.read_bytes()
        bare, text = without_contract(model)
        onnx = suffix == ".onnx"
        keep(f"bare{suffix}", bare, "has no contract inside")
        keep(f"cut{suffix}", content[: len(content) * 2 // 3], "is damaged" if onnx else "has no contract inside")
        keep(f"changed{suffix}", flipped(content, len(bare) // 2), "is damaged" if onnx else "has changed since")
        keep(
            f"renamed{suffix}", flipped(content, content.rindex(json.loads(text)["classes"][0].encode())), "is damaged"
        )
        keep(f"empty{suffix}", b"", "has no contract inside")
        keep(f"words{suffix}", b"No model at all, only words.", "is damaged" if onnx else "has no contract inside")
        for number, (problem, contract) in enumerate(wrong_contracts(text)):
            path = keep(f"contract-{number}{suffix}", bare, problem)
            container(format_of(model)).embed(path, contract)
        other = ".pte" if suffix == ".tflite" else ".tflite"
        keep(f"suffix{suffix}{other}", content, "has no contract inside" if onnx else "contradicts its own contract")
    keep("ckpt.ptl", (V1 / "ckpt.ptl").read_bytes(), "it takes .tflite, .onnx and .pte files")
    (folder / "problems.json").write_text(json.dumps(problems))


def wrong_contracts(text: str) -> Iterator[tuple[str, str]]:
    """What the app has to say, and a contract's JSON."""
    contract = unprotected(text)
    classes = contract["classes"]

    def changed(**sections: dict[str, object]) -> str:
        return json.dumps(contract | {name: contract[name] | change for name, change in sections.items()})

    yield "newer pmsi-export", json.dumps(contract | {"schema_version": 2})
    yield "contract of another file", json.dumps(contract | {"content_sha256": "0" * 64})
    yield "cannot be read", json.dumps(contract | {"input": {}})
    yield "schema_version is not a whole number", json.dumps(contract | {"schema_version": "1"})
    # One rule for all formats: whatever is changed in a contract that has a digest of itself.
    for change in ({"classes": [classes[1], classes[0], *classes[2:]]}, {"contract_sha256": "0" * 64}):
        yield "has changed since", json.dumps(json.loads(protected(text)) | change)
    resized = contract["preprocessing"] | {"resize": contract["preprocessing"]["resize"] + 1}
    yield "has changed since", json.dumps(json.loads(protected(text)) | {"preprocessing": resized})
    yield "its output [1, 3000000] is not", changed(output={"shape": [1, 3_000_000]})
    yield "contradicts its own contract: a file of int8", json.dumps(contract | {"precision": "int8"})
    yield "contradicts its own contract: resize 1000000", changed(preprocessing={"resize": 10**6, "crop": 10**6})
    yield "contradicts its own contract: resize 64 and crop 0", changed(preprocessing={"resize": 64, "crop": 0})
    yield "contradicts its own contract: its input", changed(input={"shape": [1, 3, 7, 7]})
    yield "contradicts its own contract: its output", changed(output={"top_k": len(classes) + 1})
    golden = contract["parity"]["golden"]
    for number in (float("nan"), float("inf")):
        yield "cannot be read", changed(parity={"golden": golden | {"max_abs_difference": number}})
    wrong = {"golden": golden | {"max_abs_difference": "NaN"}}
    yield "max_abs_difference is not a number", changed(parity=wrong)


def unprotected(text: str) -> dict[str, Any]:
    """A contract without a digest of itself, as they were written before."""
    contract: dict[str, Any] = json.loads(text)
    contract.pop("contract_sha256", None)
    return contract


def protected(text: str, separators: tuple[str, str] = (",", ":")) -> str:
    """A contract with the digest of its own text, in which the digest is empty."""
    empty = json.dumps(unprotected(text) | {"contract_sha256": ""}, separators=separators)
    field = json.dumps({"contract_sha256": ""}, separators=separators)[1:-1]
    digest = hashlib.sha256(empty.encode()).hexdigest()
    return empty.replace(field, f'{field[:-1]}{digest}"')


def write_contracts(folder: Path) -> None:
    """The same files with a digest of their contract, compact and spaced, and without."""
    for suffix in SUFFIXES:
        model = V1 / f"ckpt{suffix}"
        bare, text = without_contract(model)
        texts = {
            "protected/ckpt": protected(text),
            "protected/spaced": protected(text, (", ", ": ")),
            "unprotected/ckpt": json.dumps(unprotected(text)),
        }
        for name, contract in texts.items():
            path = folder / f"{name}{suffix}"
            path.write_bytes(bare)
            container(format_of(model)).embed(path, contract)


def write_confidence(folder: Path) -> None:
    """A model under contracts that call every answer sure, or none but a certain one."""
    bare, text = without_contract(V1 / "ckpt.onnx")
    for name, threshold in (("sure", 0.0), ("unsure", 1.0)):
        promises = [{"right": right, "threshold": threshold, "coverage": 0.5} for right in (0.9, 0.95)]
        confidence = {"temperature": 2.0, "photos": 300, "answers": promises, "ece": None}
        path = folder / f"{name}.onnx"
        path.write_bytes(bare)
        container(format_of(path)).embed(path, protected(json.dumps(json.loads(text) | {"confidence": confidence})))


def write_scored(scored: Path, folder: Path) -> None:
    """The model with a score under contracts that call every photo none of the classes and not sure, or neither, or
    know no threshold."""
    bare, text = without_contract(scored)
    for name, threshold, least in (("none", -1e6, 1.0), ("one", 1e6, 0.0), ("without-threshold", None, 0.0)):
        promise = {"right": 0.95, "threshold": least, "coverage": 0.5}
        confidence: dict[str, Any] = {"temperature": 2.0, "photos": 300, "answers": [promise], "ece": None}
        if threshold is not None:
            confidence["unknown"] = {"kept": 0.95, "threshold": threshold}
        path = folder / f"{name}.onnx"
        path.write_bytes(bare)
        container(format_of(path)).embed(path, protected(json.dumps(json.loads(text) | {"confidence": confidence})))


def write_not_finite_score(scored: Path, path: Path) -> None:
    """The model with a score that is not a number, beside probabilities that are."""
    import onnx

    bare, text = without_contract(scored)
    model = onnx.load_model_from_string(bare)
    node = next(node for node in model.graph.node if "unknown_score" in node.output)
    node.output[list(node.output).index("unknown_score")] = "score"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "not-a-number"))
    model.graph.node.append(onnx.helper.make_node("Mul", ["score", "not-a-number"], ["unknown_score"]))
    write_with_contract(model.SerializeToString(), text, path)


def write_not_finite(path: Path) -> None:
    """A model of which one bias is not a number, as of a network that diverged, under a contract that says nothing."""
    import onnx

    bare, text = without_contract(V1 / "ckpt.onnx")
    model = onnx.load_model_from_string(bare)
    bias = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 1 and tensor.data_type == 1)
    values = onnx.numpy_helper.to_array(bias).copy()
    values[:] = np.nan
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    write_with_contract(model.SerializeToString(), text, path)


def write_with_contract(model: bytes, text: str, path: Path) -> None:
    """A changed model under the contract that was another's."""
    path.write_bytes(model)
    contract = unprotected(text) | {"content_sha256": hashlib.sha256(model).hexdigest()}
    container(format_of(path)).embed(path, json.dumps(contract))


def without_contract(model: Path) -> tuple[bytes, str]:
    """The bytes before the contract, and its JSON."""
    content = model.read_bytes()
    embedded = container(format_of(model)).extract(model)
    if model.suffix == ".onnx":
        key = content.rindex(b"pmsi.contract")
        digests = ((end, hashlib.sha256(content[:end]).hexdigest()) for end in range(key, key - 16, -1))
        end = next(end for end, digest in digests if digest == embedded.content_sha256)
    else:
        with zipfile.ZipFile(model) as archive:
            end = archive.infolist()[-2].header_offset
    return content[:end], embedded.text


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def write_judgements(folder: Path) -> None:
    """The gates, and how pmsi-export compares probabilities."""
    generator = np.random.default_rng(0)
    reference = generator.dirichlet(np.full(7, 0.3), 40).astype(np.float32)
    noisy = reference + generator.normal(0, 0.03, reference.shape).astype(np.float32)
    wrong = noisy.copy()
    wrong[1] = np.roll(wrong[1], 1)
    largest = np.where(noisy >= np.sort(noisy, axis=1)[:, -3:-2], noisy, 0).astype(np.float32)
    cases = []
    for outputs, top_k in ((reference, None), (noisy, None), (wrong, None), (largest, 3)):
        rows = iter(outputs)
        runner = Runner(lambda image: image, lambda _, rows=rows: next(rows))
        images = np.zeros((len(reference), 1, 1, 3), np.uint8)
        measured = agreement(runner, images, reference, top_k=top_k is not None)
        misses = {precision: GATES[precision].misses(measured) for precision in GATES}
        cases.append(
            {"top_k": top_k, "outputs": outputs.tolist(), "agreement": measured.model_dump(), "misses": misses}
        )
    gates = {precision: vars(gate) for precision, gate in GATES.items()}
    (folder / "judgements.json").write_text(
        json.dumps({"gates": gates, "reference": reference.tolist(), "cases": cases})
    )


def write_frames(folder: Path) -> None:
    """Camera frames: the planes of a photo in YUV 4:2:0, the RGB that they stand for, and what a network takes of the
    photo itself."""
    picture = real_photos()[0] if real_photos() else draw_picture(3)
    picture = picture.resize((640, 480), Image.Resampling.LANCZOS)
    preprocessing = read_contract(V1 / "ckpt.onnx").preprocessing.for_network()
    frames = []
    for limited in (False, True):
        for rotation in (0, 90, 180, 270):
            y, cb, cr = planes(picture, limited)
            rgb = np.rot90(rgb_of(y, cb, cr, limited), -rotation // 90)
            name = f"{'limited' if limited else 'full'}-{rotation}"
            pixels = eval_transform(picture.rotate(-rotation, expand=True), preprocessing).permute(1, 2, 0).numpy()
            for part, values in {"y": y, "cb": cb, "cr": cr, "rgb": rgb, "input": pixels}.items():
                (folder / f"{name}.{part}").write_bytes(np.ascontiguousarray(values).tobytes())
            frames.append(
                {"name": name, "limited": limited, "rotation": rotation, "width": y.shape[1], "height": y.shape[0]}
            )
    (folder / "frames.json").write_text(json.dumps(frames))


def planes(picture: Image.Image, limited: bool) -> list[NDArray[np.uint8]]:
    """Y [H, W], Cb and Cr [H / 2, W / 2] (BT.601), of all of 0..255 or of a video's range."""
    red, green, blue = np.asarray(picture, np.float64).transpose(2, 0, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = 128 + (blue - y) / 1.772, 128 + (red - y) / 1.402
    halves = [c.reshape(c.shape[0] // 2, 2, c.shape[1] // 2, 2).mean(axis=(1, 3)) for c in (cb, cr)]
    if limited:
        y, halves = 16 + y * 219 / 255, [128 + (c - 128) * 224 / 255 for c in halves]
    return [np.clip(np.round(plane), 0, 255).astype(np.uint8) for plane in (y, *halves)]


def rgb_of(y: NDArray[np.uint8], cb: NDArray[np.uint8], cr: NDArray[np.uint8], limited: bool) -> NDArray[np.uint8]:
    """[H, W, 3], every chroma sample for its four pixels (ITU-R BT.601, JFIF)."""
    light = y.astype(np.float64)
    blue, red = (c.repeat(2, axis=0).repeat(2, axis=1).astype(np.float64) - 128 for c in (cb, cr))
    if limited:
        light, blue, red = (light - 16) * 255 / 219, blue * 255 / 224, red * 255 / 224
    rgb = np.stack([light + 1.402 * red, light - 0.344136 * blue - 0.714136 * red, light + 1.772 * blue], axis=-1)
    return np.clip(np.floor(rgb + 0.5), 0, 255).astype(np.uint8)


def write_photos(folder: Path) -> Iterator[str]:
    """Photo files of many kinds and sizes; yields their names. Those in `thinned` are too large to be decoded whole."""

    def keep(name: str, picture: Image.Image, format: str, **options: Any) -> str:
        (folder / name).write_bytes(encoded(picture, format, **options))
        return name

    pictures = real_photos()
    for number, picture in enumerate(pictures):
        size, subsampling = SIZES[number % len(SIZES)], number // len(SIZES) % 2 * 2
        photo = picture.resize(size, Image.Resampling.LANCZOS)
        yield keep(f"real-{number}.jpg", photo, "JPEG", quality=92, subsampling=subsampling)
    pictures = pictures or [draw_picture(number) for number in range(8)]

    for number, size in enumerate(SIZES):
        drawn = draw_picture(number).resize(size, Image.Resampling.BICUBIC)
        yield keep(f"drawn-{number}.png", drawn, "PNG")
        yield keep(f"drawn-{number}.jpg", drawn, "JPEG", subsampling=number % 3)
    # Android 8 reads no EXIF in files of less than 5,000 bytes.
    drawn = draw_picture(5).resize((384, 320), Image.Resampling.BICUBIC)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield keep(f"exif-{orientation}.jpg", drawn, "JPEG", exif=exif)
    shade = Image.linear_gradient("L").resize(drawn.size)
    yield keep("progressive.jpg", drawn, "JPEG", progressive=True)
    yield keep("grey.jpg", drawn.convert("L"), "JPEG")
    yield keep("grey.png", drawn.convert("L"), "PNG")
    yield keep("palette.png", drawn.quantize(32), "PNG")
    yield keep("transparent.png", Image.merge("RGBA", (*drawn.split(), shade)), "PNG")
    yield keep("transparent-grey.png", Image.merge("LA", (drawn.convert("L"), shade)), "PNG")
    yield keep("lossless.webp", drawn, "WEBP", lossless=True)
    yield keep("lossy.webp", drawn, "WEBP")
    yield keep("still.gif", drawn.quantize(64), "GIF")
    yield keep("plain.bmp", drawn, "BMP")
    yield keep("one-pixel.png", Image.new("RGB", (1, 1), "teal"), "PNG")
    yield keep("line.png", drawn.resize((900, 1)), "PNG")
    yield keep("12-megapixels.jpg", mosaic(pictures, 4000, 3000), "JPEG")
    yield keep("thinned-24-megapixels.jpg", mosaic(pictures, 6144, 4096), "JPEG")
    yield keep("thinned-20-megapixels.png", mosaic([draw_picture(number) for number in range(8)], 5000, 4096), "PNG")


def write_wide_gamut(folder: Path) -> None:
    """Photos in Display P3, as telephones take them, and their pixels in sRGB as Little CMS computes them."""
    patches = np.array([[204, 102, 51], [60, 180, 75], [40, 70, 200], [128, 128, 128], [230, 190, 170], [20, 40, 30]])
    picture = Image.fromarray(patches.astype(np.uint8).reshape(2, 3, 3)).resize((48, 32), Image.Resampling.NEAREST)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(display_p3()))
    converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"))
    assert converted is not None
    (folder / "p3.rgb").write_bytes(converted.tobytes())
    (folder / "p3.png").write_bytes(encoded(picture, "PNG", icc_profile=display_p3()))
    (folder / "p3.jpg").write_bytes(
        encoded(picture, "JPEG", quality=100, subsampling=0, icc_profile=display_p3()),
    )


def display_p3() -> bytes:
    """An ICC profile (ICC.1:2010) of Display P3: its primaries adapted to D50, and the curve of sRGB."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def point(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*values)

    white = (0.9642, 1.0, 0.8249)
    curve = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    tags = {
        b"wtpt": point(*white),
        b"rXYZ": point(0.5151, 0.2412, -0.0011),
        b"gXYZ": point(0.2920, 0.6922, 0.0419),
        b"bXYZ": point(0.1571, 0.0666, 0.7841),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    begin = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", begin + len(data), len(content))
        data += content
    header = struct.pack(">I4xI", begin + len(data), 0x04300000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return (header + bytes(28) + fixed(*white)).ljust(128, b"\0") + table + data


def real_photos() -> list[Image.Image]:
    """Photos of groceries, where the checkout has them beside it."""
    paths = sorted((SHARED / "data" / "grocery" / "val").glob("*/*.jpg"))
    return [Image.open(path).convert("RGB") for path in paths[:: max(1, len(paths) // REAL_PHOTOS)][:REAL_PHOTOS]]


def mosaic(pictures: Sequence[Image.Image], width: int, height: int) -> Image.Image:
    """A large picture with as much detail as the small ones."""
    large = Image.new("RGB", (width, height))
    step = 256
    places = [(x, y) for y in range(0, height, step) for x in range(0, width, step)]
    for number, place in enumerate(places):
        large.paste(pictures[number % len(pictures)].resize((step, step)), place)
    return large


def write_expectations(folder: Path, photos: Sequence[str]) -> None:
    """The network's input for every photo, and its output on every model that a JVM can run."""
    models = [path for path in sorted((folder / "models").iterdir()) if path.suffix in SUFFIXES]
    contracts = {model.name: read_contract(model) for model in models}
    pixels = {}
    for preprocessing in {contract.preprocessing for contract in contracts.values()}:
        rule = f"{preprocessing.resize}-{preprocessing.crop}"
        for photo in photos:
            pixels[rule, photo] = load_image(folder / "photos" / photo, preprocessing.for_network())
            (folder / "pixels" / f"{photo}-{rule}.rgb").write_bytes(pixels[rule, photo].tobytes())
    expected = {}
    for model in models:
        contract = contracts[model.name]
        rule = f"{contract.preprocessing.resize}-{contract.preprocessing.crop}"
        answers = {}
        if model.suffix != ".pte":
            runner = load_file(model)
            answers = {photo: runner.answer(pixels[rule, photo]) for photo in photos}
        expected[model.name] = {
            "contract": contract.model_dump(mode="json"),
            "probabilities": {photo: answer.probabilities.tolist() for photo, answer in answers.items()},
            "unknown_scores": {photo: answer.unknown_score for photo, answer in answers.items()},
        }
    (folder / "models.json").write_text(json.dumps(expected))


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format, **options)
    return stream.getvalue()


if __name__ == "__main__":
    write_fixtures(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
