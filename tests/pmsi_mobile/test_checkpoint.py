import pickle
import zipfile

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


def repeated(shape, dtype=torch.float32):
    """A tensor of one value in the file."""
    return torch.zeros(1, dtype=dtype).expand(shape)


def change(content, kind):
    golden, weights = content["golden"], content["weights"]
    bias = next(name for name in weights if name.endswith("bias"))
    if kind in ("nan", "inf", "-inf"):
        weights[bias][0] = float(kind)
    elif kind == "golden nan":
        golden["probabilities"][0, 0] = float("nan")
    elif kind == "golden size":
        golden["images"] = golden["images"][:, :, :32, :32]
    elif kind == "golden rows":
        golden["probabilities"] = golden["probabilities"][:, :-1]
    elif kind == "golden none":
        golden.update(images=golden["images"][:0], probabilities=golden["probabilities"][:0])
    elif kind == "golden number":
        golden["images"] = torch.tensor(0, dtype=torch.uint8)
    elif kind == "golden million":
        golden["images"] = repeated((10**6, 3, 64, 64), torch.uint8)
    elif kind == "weight repeated":
        weights[bias] = repeated((10**6, 10**6))
    elif kind == "weight text":
        weights[bias] = "text"
    elif kind == "weights list":
        content["weights"] = [1, 2]
    elif kind == "metrics nan":
        content["metrics"] = {"val": {"top1": float("nan")}}
    elif kind == "version":
        content["schema_version"] = "one"
    elif kind == "crop":
        content["config"]["preprocessing"].update(resize=1_000_000, crop=999_968)
    elif kind == "mean":
        content["config"]["preprocessing"]["mean"] = [float("nan"), 0.5, 0.5]
    elif kind == "std":
        content["config"]["preprocessing"]["std"] = [float("inf"), 0.5, 0.5]
    elif kind == "width":
        content["config"]["model"]["width"] = 10**9
    elif kind == "classes text":
        content["classes"] = "abc"
    elif kind == "classes number":
        content["classes"] = 3
    elif kind == "classes twice":
        content["classes"] = ["a", "a", "b"]
    elif kind == "classes many":
        content["classes"] = [str(number) for number in range(200_000)]
    elif kind == "metrics list":
        content["metrics"] = [1]
    elif kind == "provenance text":
        content["provenance"] = "here"
    elif kind == "trained on a matrix":
        content["trained_on"] = torch.zeros(2, 2, dtype=torch.int64)
    elif kind == "trained on a list":
        content["trained_on"] = [1.5]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "has values that are not finite, its training diverged"),
        ("inf", "has values that are not finite"),
        ("-inf", "has values that are not finite"),
        ("golden nan", "has values that are not finite"),
        ("golden size", r"its golden samples are \(2, 3, 32, 32\)"),
        ("golden rows", "probabilities for 3 classes"),
        ("golden none", r"its golden samples are \(0, 3, 64, 64\)"),
        ("golden number", r"its golden samples are \(\)"),
        ("golden million", "more values than the file has"),
        ("weight repeated", "more values than the file has"),
        ("weight text", "is no tensor"),
        ("weights list", "incomplete checkpoint"),
        ("metrics nan", "its accuracy has values that are not finite"),
        ("version", "schema_version is missing or malformed"),
        ("crop", "4096"),
        ("mean", "finite number"),
        ("std", "finite number"),
        ("width", "8192"),
        ("classes text", "incomplete checkpoint"),
        ("classes number", "incomplete checkpoint"),
        ("classes twice", "its class names are not different texts"),
        ("classes many", "200000 classes"),
        ("metrics list", "no table"),
        ("provenance text", "no table"),
        ("trained on a matrix", "the list of its training photos"),
        ("trained on a list", "the list of its training photos"),
    ],
)
def test_a_checkpoint_that_does_not_fit_together_is_one_clear_line(file, kind, message):
    content = torch.load(file, weights_only=True)
    change(content, kind)
    torch.save(content, file)
    with pytest.raises(PmsiError, match=message) as error:
        load_checkpoint(file)
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_would_inflate_is_not_inflated(file):
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/999", bytes(100 << 20))
    with pytest.raises(PmsiError, match="would inflate to"):
        load_checkpoint(file)


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
