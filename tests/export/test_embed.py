"""The contract inside a file: what is written comes back, and what is not the file's own is refused."""

import subprocess
import sys
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest

from pmsi_export.commands.export import export
from pmsi_export.contract.schema import Contract
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS, container
from pmsi_mobile.errors import PmsiError
from tests.export.test_contract import contract as any_contract

FORMATS_IN_ONE_FILE = ["tflite", "onnx", "torchscript", "executorch"]


@pytest.fixture(params=FORMATS_IN_ONE_FILE)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def plain_model(name: str, path: Path, weight: float = 1.0) -> Path:
    """A small file without a contract. TFLite and ExecuTorch look at the front only: any bytes do for these two."""
    if name == "onnx":
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper, save

        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])
        node = helper.make_node("Mul", ["image", "weight"], ["probabilities"])
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1])
        graph = helper.make_graph(
            [node], "tiny", [image], [output], [numpy_helper.from_array(np.float32([weight]), "weight")]
        )
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    elif name == "torchscript":
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.jit.script(torch.nn.Linear(3, 2))
            torch.nn.init.constant_(module.weight, weight)
            module._save_for_lite_interpreter(str(path))
    else:
        path.write_bytes(f"    TFL3 a model with the weight {weight} ".encode() * 50)
    return path


def whole_model(name: str, path: Path, weight: float = 1.0) -> Path:
    """The same with its contract."""
    module = container(FORMATS[name])
    plain_model(name, path, weight)
    module.embed(path, contract_of(name, module.extract(path).content_sha256).model_dump_json())
    return path


def contract_of(name: str, digest: str) -> Contract:
    return any_contract().model_copy(update={"format": name, "content_sha256": digest})


@pytest.fixture
def model(name, tmp_path):
    return whole_model(name, tmp_path / f"model{FORMATS[name].suffix}")


def test_a_contract_comes_back_as_it_was_put_in(model, name):
    contract = read_contract(model)
    assert contract == contract_of(name, contract.content_sha256)
    assert contract.classes == ("käna", "teal, green")


def test_the_digest_is_that_of_the_file_before_the_contract_came_in(model, name, tmp_path):
    plain = plain_model(name, tmp_path / f"plain{model.suffix}")
    embedded = container(FORMATS[name]).extract(plain)
    assert embedded.text == ""
    if name != "torchscript":
        # PyTorch writes the name of the file into the archive.
        assert embedded.content_sha256 == read_contract(model).content_sha256


def test_the_bytes_of_the_model_stay_where_they_are(name, tmp_path):
    path = plain_model(name, tmp_path / f"model{FORMATS[name].suffix}")
    before = path.read_bytes()
    if name == "torchscript":
        # Its directory of entries moves behind the new ones.
        with zipfile.ZipFile(path) as archive:
            before = before[: archive.start_dir]
    container(FORMATS[name]).embed(path, contract_of(name, "0" * 64).model_dump_json())
    assert path.read_bytes().startswith(before)


def test_a_file_without_a_contract_is_refused(name, tmp_path):
    plain = plain_model(name, tmp_path / f"plain{FORMATS[name].suffix}")
    with pytest.raises(PmsiError, match=r"has no contract inside, .*: export it again"):
        load_file(plain)


def test_a_byte_that_flipped_is_refused_or_without_effect(model, name):
    """Without effect: dates and attributes of the two entries in an archive, which no reader looks at."""
    whole, contract = model.read_bytes(), read_contract(model)
    content = len(whole)
    if name != "onnx":
        with zipfile.ZipFile(model) as archive:
            content = archive.infolist()[-2].header_offset
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        model.write_bytes(damaged)
        try:
            assert read_contract(model) == contract
            assert position >= content
        except PmsiError:
            pass


def test_a_file_that_was_cut_off_is_refused(model):
    whole = model.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1):
        model.write_bytes(whole[:length])
        with pytest.raises(PmsiError, match=r"is cut off|is damaged"):
            load_file(model)


def test_the_contract_of_another_file_is_refused(model, name, tmp_path):
    module = container(FORMATS[name])
    other = whole_model(name, tmp_path / f"other{model.suffix}", weight=2.0)
    plain = plain_model(name, tmp_path / f"plain{model.suffix}")
    module.embed(plain, module.extract(other).text)
    with pytest.raises(PmsiError, match="has the contract of another file"):
        load_file(plain)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_second_contract_behind_the_first_is_refused(model, name):
    module = container(FORMATS[name])
    module.embed(model, module.extract(model).text.replace("teal", "gull"))
    with pytest.raises(PmsiError, match=r"model\.\w+ (is damaged|has changed)"):
        read_contract(model)


@pytest.mark.parametrize("name", ["tflite", "executorch"])
def test_labels_that_are_not_the_classes_are_refused(model):
    text = "käna\nteal, green\n".encode()
    content = model.read_bytes()
    swapped = "teal, green\nkäna\n".encode()
    crc = zlib.crc32(text).to_bytes(4, "little"), zlib.crc32(swapped).to_bytes(4, "little")
    model.write_bytes(content.replace(text, swapped).replace(*crc))
    with pytest.raises(PmsiError, match="its labels are not the classes of its contract"):
        read_contract(model)


def test_something_behind_the_metadata_of_an_onnx_file_is_refused(tmp_path):
    """Protocol buffers that follow one another are merged: a second graph would take the place of the first."""
    model = whole_model("onnx", tmp_path / "model.onnx")
    other = plain_model("onnx", tmp_path / "other.onnx", weight=2.0)
    model.write_bytes(model.read_bytes() + other.read_bytes())
    with pytest.raises(PmsiError, match="is damaged"):
        read_contract(model)


def test_a_contract_of_a_newer_version_says_what_to_upgrade(model, name, tmp_path):
    module = container(FORMATS[name])
    text = module.extract(model).text.replace('"schema_version":1', '"schema_version":2')
    newer = plain_model(name, tmp_path / f"newer{model.suffix}")
    module.embed(newer, text)
    with pytest.raises(PmsiError, match="upgrade with pip install -U pmsi-mobile"):
        read_contract(newer)


def test_reading_a_contract_imports_no_framework(model):
    code = (
        "import sys; from pathlib import Path; from pmsi_export.formats.open import read_contract\n"
        f"print(len(read_contract(Path({str(model)!r})).classes))\n"
        "print([n for n in ('torch', 'tensorflow', 'onnx', 'ai_edge_litert', 'executorch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n[]\n"


def test_info_prints_the_contract_of_a_file(model, name, capsys):
    export([model], info=True)
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["file"] == f"{model}, {name}, 0.0 MB"
    assert lines["model"] == "rmg-pmsi mobilenet_v2, 2 classes, fp32"
    assert lines["classes"] == "2: käna, teal, green"
    assert lines["parity"] == "not measured: Core ML runs on macOS and iOS only"
    assert lines["content"] == f"{read_contract(model).content_sha256}, unchanged"
    assert lines["next:"] == f"pmsi-predict {model} photo.jpg"


def test_info_as_json_is_the_contract(model, capsys):
    export([model], info=True, as_json=True)
    assert Contract.model_validate_json(capsys.readouterr().out) == read_contract(model)


def test_info_of_something_else_is_an_error():
    with pytest.raises(PmsiError, match="is not an exported model"):
        export([Path("ckpt.pt")], info=True)
