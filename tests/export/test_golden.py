import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from pmsi_export.contract.golden_samples import GoldenSamples, golden_of, write_golden
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import run_command
from tests.export.test_fixtures import FOLDER


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_golden_samples_lie_beside_the_files_and_fit_every_format(exported, checkpoint, name):
    model = exported.file(name)
    samples = golden_of(model, read_contract(model))
    trained = load_variant(checkpoint, Variant()).golden
    assert (samples.images == trained.images.permute(0, 2, 3, 1).numpy()).all()
    assert (samples.probabilities == trained.probabilities.numpy()).all()


def test_any_client_can_read_them(exported):
    with zipfile.ZipFile(exported.folder / "ckpt.golden.zip") as archive:
        index = json.loads(archive.read("golden.json"))
        image = Image.open(io.BytesIO(archive.read(index["samples"][0]["image"])))
    assert (index["side"], index["classes"], len(index["samples"])) == (64, 5, 8)
    assert image.size == (64, 64)
    assert sum(index["samples"][0]["probabilities"]) == pytest.approx(1, abs=1e-5)


@pytest.fixture
def alone(tmp_path):
    """A file in a folder of its own, with its contract."""
    model = tmp_path / "ckpt.tflite"
    shutil.copyfile(FOLDER / model.name, model)
    return model, read_contract(model)


def test_samples_of_another_checkpoint_size_or_head_are_not_taken(alone):
    model, contract = alone
    samples = GoldenSamples(np.zeros((2, 64, 64, 3), np.uint8), np.full((2, 6), 0.2, np.float32))
    others = [
        contract.model_copy(update={"checkpoint_sha256": "1" * 64}),
        contract.model_copy(update={"preprocessing": contract.preprocessing.model_copy(update={"crop": 32})}),
        contract.model_copy(update={"model": contract.model.model_copy(update={"head": "concat"})}),
    ]
    for number, other in enumerate(others):
        write_golden(samples, other, model.with_name(f"{number}.golden.zip"))
    assert golden_of(model, contract) is None
    write_golden(samples, contract, model.with_name("mine.golden.zip"))
    assert golden_of(model, contract).images.shape == (2, 64, 64, 3)


def test_equal_samples_give_equal_bytes(alone):
    model, contract = alone
    samples = GoldenSamples(np.full((1, 64, 64, 3), 7, np.uint8), np.full((1, 6), 0.2, np.float32))
    first, second = model.with_name("a.golden.zip"), model.with_name("b.golden.zip")
    write_golden(samples, contract, first)
    write_golden(samples, contract, second)
    assert first.read_bytes() == second.read_bytes()


def _encrypted(archive, picture):
    archive.writestr("0.png", picture)
    archive.filelist[-1].flag_bits |= 1


def _unknown_compression(archive, picture):
    archive.writestr("0.png", picture)
    archive.filelist[-1].compress_type = 99


def _not_deflated(archive, picture):
    archive.writestr("0.png", picture)
    archive.filelist[-1].compress_type = zipfile.ZIP_DEFLATED


def _flipped(archive, picture):
    archive.writestr("0.png", picture)
    archive.filelist[-1].CRC ^= 1


def _bomb(archive, picture):
    with archive.open(zipfile.ZipInfo("0.png"), "w") as entry:
        entry.write(picture)
    for number in range(1, 5):
        archive.writestr(f"{number}.png", bytes(20 << 20), zipfile.ZIP_DEFLATED)


def _huge_picture(archive, picture):
    # Width and height of the header: Pillow would refuse it with an error of its own, or allocate 432 MB.
    side = (12_000).to_bytes(4, "big")
    archive.writestr("0.png", picture[:16] + side + side + picture[24:])


def _no_picture(archive, picture):
    pass


def _other_picture(archive, picture):
    archive.writestr("0.png", b"GIF89a")


def _cut_off_picture(archive, picture):
    archive.writestr("0.png", picture[:60])


@pytest.mark.parametrize(
    ("plant", "reason"),
    {
        _encrypted: "encrypted",
        _unknown_compression: "compression",
        _not_deflated: "decompressing",
        _flipped: "CRC",
        _bomb: "more than 64 MB",
        _huge_picture: "not a PNG of 64 x 64",
        _no_picture: "no item named '0.png'",
        _other_picture: "not a PNG of 64 x 64",
        _cut_off_picture: "truncated",
    }.items(),
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_an_archive_that_is_not_as_we_write_it_is_an_error_of_one_line(alone, plant, reason):
    model, contract = alone
    path = model.with_name("ckpt.golden.zip")
    write_golden(GoldenSamples(np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 6), 0.2, np.float32)), contract, path)
    with zipfile.ZipFile(path) as whole:
        index, picture = whole.read("golden.json"), whole.read("0.png")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("golden.json", index)
        plant(archive, picture)
    with pytest.raises(PmsiError, match=f"does not hold golden samples .*{reason}") as refused:
        golden_of(model, contract)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"side": 10**6}, "side: "),
        ({"samples": []}, "samples: "),
        ({"classes": 7}, "a sample has not 7 probabilities"),
        ({"samples": [{"image": "0.png", "probabilities": [0.2] * 6}] * 1001}, "samples: "),
        ({"schema_version": "1"}, "schema_version: "),
    ],
    ids=["side", "none", "ragged", "many", "version"],
)
def test_an_index_at_odds_with_itself_is_an_error_of_one_line(alone, change, reason):
    model, contract = alone
    path = model.with_name("ckpt.golden.zip")
    write_golden(GoldenSamples(np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 6), 0.2, np.float32)), contract, path)
    with zipfile.ZipFile(path) as whole:
        index = json.loads(whole.read("golden.json"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("golden.json", json.dumps(index | change))
    with pytest.raises(PmsiError, match=f"does not hold golden samples .*{reason}") as refused:
        golden_of(model, contract)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_damaged_samples_are_an_error_of_one_line(alone, content):
    model, contract = alone
    path = model.with_name("ckpt.golden.zip")
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("golden.json", '{"schema_version": 1}')
    else:
        path.write_bytes(content)
    with pytest.raises(PmsiError, match="does not hold golden samples"):
        golden_of(model, contract)


@pytest.mark.slow
@pytest.mark.slow
def test_android_puts_what_the_app_opens_into_its_assets(checkpoint, tmp_path):
    app = tmp_path / "android_demo"
    (app / "app/src/main").mkdir(parents=True)
    options = ("--format", "onnx", "--format", "torchscript", "--output", tmp_path / "models", "--android", app)
    result = run_command("pmsi-export", checkpoint, *options)
    assert result.status == 0, result.stderr
    models = app / "app/src/main/assets/models"
    assert {path.name for path in models.iterdir()} == {"ckpt.onnx", "ckpt.golden.zip"}
    assert (models / "ckpt.onnx").read_bytes() == (tmp_path / "models/ckpt.onnx").read_bytes()
    assert f"next: open {app} in Android Studio" in result.stdout


@pytest.mark.parametrize(
    ("format", "folder", "message"),
    [("onnx", "elsewhere", "is not the demo app"), ("torchscript", "app/src/main", "does not open torchscript")],
)
def test_what_the_app_cannot_take_is_refused_before_anything_is_converted(
    checkpoint, tmp_path, format, folder, message
):
    (tmp_path / folder).mkdir(parents=True)
    output = tmp_path / "models"
    result = run_command("pmsi-export", checkpoint, "--format", format, "--android", tmp_path, "--output", output)
    assert result.status == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not output.exists()
