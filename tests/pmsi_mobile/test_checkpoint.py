import pickle

import pytest
import torch

from pmsi_mobile.checkpoint import MAGIC, Golden, load_checkpoint
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.network.mixing import mix
from tests.conftest import make_checkpoint, small_config

CLASSES = ("Äpfel", "b c", "z")


@pytest.fixture
def file(tmp_path):
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    return make_checkpoint(tmp_path / "ckpt.pt", small_config(), CLASSES, images)


def rewritten(file, **changes):
    content = torch.load(file, weights_only=True)
    torch.save({**content, **changes}, file)
    return file


def test_what_was_saved_is_loaded(file):
    checkpoint = load_checkpoint(file)
    assert checkpoint.config == small_config()
    assert checkpoint.classes == CLASSES
    assert isinstance(checkpoint.golden, Golden)
    preprocessing = checkpoint.config.preprocessing
    from pmsi_mobile.data.transforms import normalise

    with torch.no_grad():
        logits = checkpoint.network()(normalise(checkpoint.golden.images, preprocessing))
    assert torch.allclose(mix(logits, "logits"), checkpoint.golden.probabilities, atol=1e-6)


def test_preprocessing_stands_in_the_file_for_clients_without_our_code(file):
    content = torch.load(file, weights_only=True)
    assert content["preprocessing"]["crop"] == 64
    assert content["preprocessing"]["mean"] == [0.485, 0.456, 0.406]


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


def broken(kind, file):
    if kind == "missing":
        file.unlink()
    elif kind == "truncated":
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "text":
        file.write_text("hello")
    elif kind == "pickle":
        file.write_bytes(pickle.dumps(Evil()))
    elif kind == "code":
        torch.save({"magic": MAGIC, "evil": Evil()}, file)
    elif kind == "foreign":
        torch.save({"state_dict": {}}, file)
    elif kind == "future":
        rewritten(file, schema_version=99)
    elif kind == "incomplete":
        content = torch.load(file, weights_only=True)
        del content["classes"]
        torch.save(content, file)
    elif kind == "config":
        rewritten(file, config={"method": "magic"})
    elif kind == "weights":
        rewritten(file, weights={})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "does not exist"),
        ("truncated", "it is cut off or corrupt"),
        ("empty", "is empty: copy or download it again"),
        ("text", "is a text file"),
        ("pickle", "it is cut off or corrupt"),
        ("code", "could run code"),
        ("foreign", "is not a pmsi-mobile checkpoint"),
        ("future", "checkpoint version 99"),
        ("incomplete", "incomplete checkpoint"),
        ("config", "configuration: method"),
        ("weights", "do not fit"),
    ],
)
def test_an_unusable_checkpoint_is_one_clear_line_and_runs_no_code(file, kind, message, capsys):
    broken(kind, file)
    with pytest.raises(PmsiError, match=message) as error:
        load_checkpoint(file).network()
    assert "\n" not in str(error.value)
    assert "code ran" not in capsys.readouterr().out


def test_a_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def fail(content, opened):
        opened.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        make_checkpoint(file, small_config(), CLASSES, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["ckpt.pt"]
