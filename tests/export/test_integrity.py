"""What changed after an export, does not fit together or says nothing is refused wherever it comes in."""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pmsi_export.contract.bounded_zip import read_entry
from pmsi_export.contract.golden_samples import GoldenSamples, golden_of, write_golden
from pmsi_export.contract.schema import Contract, is_sealed, seal
from pmsi_export.contract.zip_trailer import CONTRACT, LABELS
from pmsi_export.formats.coreml.mil.package import read_specification, write_specification
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS, container
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import run_command
from tests.export.test_contract import contract as any_contract
from tests.export.test_embed import FORMATS_IN_ONE_FILE, contract_of, plain_model

FIXTURES = Path(__file__).parent / "fixtures" / "v1"


def sealed_model(name: str, path: Path) -> Path:
    module = container(FORMATS[name])
    plain_model(name, path)
    module.embed(path, seal(contract_of(name, module.extract(path).content_sha256)))
    return path


def with_contract(name: str, path: Path, text: str) -> Path:
    """The same model with another contract, consistent in itself, as any zip tool or ONNX library can write it."""
    plain_model(name, path)
    container(FORMATS[name]).embed(path, text)
    return path


CHANGES = {
    "another resize": lambda text: text.replace('"resize": 256', '"resize": 300'),
    "two classes swapped": lambda text: (
        text.replace('"käna"', '"x"').replace('"teal, green"', '"käna"').replace('"x"', '"teal, green"')
    ),
    "a gate passed": lambda text: text.replace('"status": "not measured"', '"status": "passed"'),
    "other spaces": lambda text: json.dumps(json.loads(text), separators=(",", " : ")),
    "another seal": lambda text: re.sub('[0-9a-f]{64}(?="\\s*}$)', "0" * 64, text),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", FORMATS_IN_ONE_FILE)
def test_a_contract_that_was_changed_in_the_file_is_refused(tmp_path, name, change):
    suffix = FORMATS[name].suffix
    model = sealed_model(name, tmp_path / f"model{suffix}")
    text = container(FORMATS[name]).extract(model).text
    assert read_contract(model).contract_sha256
    assert CHANGES[change](text) != text
    changed = with_contract(name, tmp_path / f"changed{suffix}", CHANGES[change](text))
    with pytest.raises(PmsiError, match="its contract has changed since it was written"):
        read_contract(changed)


def test_the_seal_can_be_checked_without_a_json_writer():
    text = seal(any_contract())
    assert is_sealed(text)
    assert is_sealed(text.replace('"contract_sha256": "', '"contract_sha256":"')) is False
    assert is_sealed(any_contract().model_dump_json()) is None
    assert is_sealed(text[:-2] + f',"contract_sha256":"{"0" * 64}"}}') is False
    # A class may be called anything: quotes are escaped in JSON.
    odd = any_contract().model_copy(update={"classes": ('"contract_sha256":"' + "0" * 64 + '"', "other")})
    assert is_sealed(seal(odd))


def test_contracts_of_before_are_read_and_said_to_be_unprotected(tmp_path):
    assert read_contract(FIXTURES / "ckpt.tflite").contract_sha256 == ""
    told = run_command("pmsi-export", "--info", FIXTURES / "ckpt.tflite")
    assert told.status == 0
    assert "unprotected" in told.stdout
    sealed = sealed_model("tflite", tmp_path / "model.tflite")
    assert "unprotected" not in run_command("pmsi-export", "--info", sealed).stdout


@pytest.mark.parametrize(("name", "other"), [("tflite", ".pte"), ("executorch", ".tflite"), ("tflite", ".ptl")])
def test_a_file_under_another_formats_name_is_refused(tmp_path, name, other):
    model = sealed_model(name, tmp_path / f"model{FORMATS[name].suffix}")
    renamed = model.rename(tmp_path / f"model{other}")
    with pytest.raises(PmsiError, match=r"under another name|has no contract inside|damaged") as error:
        read_contract(renamed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": [str(number) for number in range(3000)]}, "does not fit 3000 classes"),
        ({"classes": ["a", "a"]}, "two classes have the same name"),
        ({"precision": "int8"}, "does not fit the precision int8"),
        ({"output": {"shape": [1, 3], "top_k": 3}}, "does not fit 2 classes"),
        ({"input": {"layout": "NCHW", "shape": [1, 224, 224, 3]}}, "does not fit a crop of 224"),
        ({"preprocessing": {"resize": 200}}, "larger than resize"),
        ({"preprocessing": {"resize": 10**6, "crop": 10**6}}, "less than or equal to 4096"),
        ({"parity": {"golden": {"sqnr_db": float("nan")}}}, "parity"),
    ],
)
def test_a_contract_that_does_not_agree_with_itself_is_refused_at_the_door(tmp_path, change, message):
    values = json.loads(any_contract().model_dump_json())
    for key, value in change.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    with_contract("tflite", tmp_path / "model.tflite", json.dumps(values))
    with pytest.raises(PmsiError, match=message) as error:
        read_contract(tmp_path / "model.tflite")
    assert "\n" not in str(error.value)


def test_a_contract_that_would_inflate_is_not_inflated(tmp_path):
    plain_model("tflite", tmp_path / "model.tflite")
    with zipfile.ZipFile(tmp_path / "model.tflite", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(LABELS, "a\n")
        archive.writestr(CONTRACT, b" " * (64 << 20))
    with pytest.raises(PmsiError, match="it would inflate to more"):
        read_contract(tmp_path / "model.tflite")


def test_an_entry_larger_than_its_limit_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", b"0" * 5000)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert read_entry(archive, "large", 5000) == b"0" * 5000
        with pytest.raises(zipfile.BadZipFile):
            read_entry(archive, "large", 4999)


def golden_zip(tmp_path: Path, change) -> tuple[Path, Contract]:
    """Golden samples of the contract beside a model, their parts by name changed."""
    contract = any_contract()
    images = np.zeros((2, 224, 224, 3), np.uint8)
    write_golden(GoldenSamples(images, np.float32([[0.9, 0.1], [0.2, 0.8]])), contract, tmp_path / "m.golden.zip")
    with zipfile.ZipFile(tmp_path / "m.golden.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(tmp_path / "m.golden.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return tmp_path / "m.tflite", contract


def larger_picture(parts):
    import io

    png = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(png, "PNG")
    parts["0.png"] = png.getvalue()


def edit_index(change):
    def edit(parts):
        index = json.loads(parts["golden.json"])
        change(index)
        parts["golden.json"] = json.dumps(index).encode()

    return edit


@pytest.mark.parametrize(
    "change",
    [
        larger_picture,
        lambda parts: parts.update({"1.png": b"no picture"}),
        edit_index(lambda index: index["samples"].clear()),
        edit_index(lambda index: index["samples"][0]["probabilities"].pop()),
        edit_index(lambda index: index["samples"][0].update(probabilities=[float("nan"), 1.0])),
        edit_index(lambda index: index.update(classes=3, samples=[{"image": "0.png", "probabilities": [1, 0, 0]}])),
    ],
)
def test_golden_samples_that_do_not_fit_are_refused(tmp_path, change):
    model, contract = golden_zip(tmp_path, lambda parts: None)
    assert len(golden_of(model, contract).images) == 2
    model, contract = golden_zip(tmp_path, change)
    with pytest.raises(PmsiError, match="does not hold golden samples"):
        golden_of(model, contract)


def test_a_file_larger_than_any_format_takes_is_not_read(tmp_path):
    with open(tmp_path / "large.tflite", "wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(PmsiError, match="has more than 2 GB"):
        read_contract(tmp_path / "large.tflite")


@pytest.mark.parametrize("text", ["[]", "{}", "[" * 100_000, "no JSON", '{"classes": 5}'])
def test_a_package_whose_contract_is_none_is_refused(tmp_path, text):
    package = shutil.copytree(FIXTURES / "ckpt.mlpackage", tmp_path / "ckpt.mlpackage")
    specification = read_specification(package)
    written = specification.description.metadata.userDefined
    written["pmsi.contract"] = text
    written["pmsi.contract.sha256"] = hashlib.sha256(text.encode()).hexdigest()
    write_specification(package, specification)
    with pytest.raises(PmsiError, match="is damaged") as error:
        read_contract(package)
    assert "\n" not in str(error.value)
