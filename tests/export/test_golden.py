import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from pmsi_export.contract.golden_samples import GoldenSamples, golden_of, write_golden
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import run_command


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_golden_samples_lie_beside_the_files_and_fit_every_format(exported, checkpoint, name):
    model = exported.file(name)
    samples = golden_of(model, read_contract(model))
    trained = load_checkpoint(checkpoint).golden
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
def alone(exported, tmp_path):
    """A file in a folder of its own, with its contract."""
    model = tmp_path / "ckpt.tflite"
    model.write_bytes(exported.file("tflite").read_bytes())
    return model, read_contract(model)


def test_samples_of_another_checkpoint_size_or_head_are_not_taken(alone):
    model, contract = alone
    samples = GoldenSamples(np.zeros((2, 64, 64, 3), np.uint8), np.full((2, 5), 0.2, np.float32))
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
    samples = GoldenSamples(np.full((1, 64, 64, 3), 7, np.uint8), np.full((1, 5), 0.2, np.float32))
    first, second = model.with_name("a.golden.zip"), model.with_name("b.golden.zip")
    write_golden(samples, contract, first)
    write_golden(samples, contract, second)
    assert first.read_bytes() == second.read_bytes()


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
