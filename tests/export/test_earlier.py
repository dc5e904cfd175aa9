"""What is said of files of earlier versions."""

from pathlib import Path

import onnx
import pytest
from PIL import Image

from pmsi_export.commands.export import main as export
from pmsi_export.commands.predict import main as predict
from pmsi_export.contract.schema import seal
from pmsi_export.formats.onnx.metadata import embed, extract
from pmsi_export.formats.onnx.pair_sums import PAIR_SUM
from pmsi_export.formats.open import read_contract
from tests.export.test_fixtures import FOLDER
from tests.pmsi_mobile.runs import call

UNPROTECTED, SATURATES = "unprotected: written by an earlier version", "without VNNI"


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(":dog: [bold].png")
    Image.linear_gradient("L").save(path)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ckpt.tflite", [UNPROTECTED]),
        ("ckpt-int8.tflite", [UNPROTECTED]),
        ("ckpt.onnx", [UNPROTECTED]),
        ("ckpt-int8.onnx", [UNPROTECTED, SATURATES]),
    ],
)
def test_what_a_file_of_an_earlier_version_lacks_is_said_once(name, said, photo, monkeypatch, capsys):
    assert call(predict, monkeypatch, FOLDER / name, photo, photo) == 0
    printed, notes = capsys.readouterr()
    assert [text in line for text, line in zip(said, notes.splitlines(), strict=True)] == [True] * len(said)
    assert ":dog: [bold].png" in printed
    assert call(export, monkeypatch, "--info", FOLDER / name) == 0
    told = capsys.readouterr().out
    assert [text for text in (UNPROTECTED, SATURATES) if text in told] == said
    assert ("session.x64quantprecision=1" in told) == (SATURATES in said)


def test_nothing_is_said_of_a_file_of_this_version(photo, tmp_path, monkeypatch, capsys):
    model = tmp_path / "ckpt-int8.onnx"
    described = onnx.load(FOLDER / model.name)
    del described.metadata_props[:]
    onnx.helper.set_model_props(described, {PAIR_SUM: "128"})
    onnx.save(described, model)
    contract = read_contract(FOLDER / model.name).model_copy(update={"content_sha256": extract(model).content_sha256})
    embed(model, seal(contract))
    assert call(predict, monkeypatch, model, photo) == 0
    assert capsys.readouterr().err == ""
    assert call(export, monkeypatch, "--info", model) == 0
    told = capsys.readouterr().out
    assert not [text for text in (UNPROTECTED, SATURATES) if text in told]
