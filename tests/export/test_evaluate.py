"""`pmsi-eval` on checkpoints and on exported files."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pmsi_export.commands.evaluate import main as evaluate
from pmsi_export.formats.open import read_contract
from pmsi_export.runtime.preprocess import load_image
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.splits import open_data, save_data
from tests.conftest import make_checkpoint, small_config
from tests.export.conftest import draw_picture
from tests.pmsi_mobile.runs import call

FIXTURES = Path(__file__).parent / "fixtures" / "v1"
CHECKPOINT, MODEL = FIXTURES / "ckpt.pt", FIXTURES / "ckpt.tflite"
LISTED = read_contract(MODEL).classes


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Test photos of the fixtures' classes, four of each."""
    root = tmp_path_factory.mktemp("data") / "drawn"
    for number in range(4 * len(LISTED)):
        for split, picture in (("test", number), ("train", 100 + number)):
            path = root / split / LISTED[number % len(LISTED)] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_picture(picture).save(path)
    return root


@pytest.fixture(scope="module")
def reference(drawn, tmp_path_factory):
    """The JSON of the fixtures' checkpoint."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        assert call(evaluate, patch, CHECKPOINT, drawn, "--json", "--output", tmp_path_factory.mktemp("eval")) == 0
    return json.loads(printed.getvalue())


@pytest.fixture
def measured(drawn, tmp_path, monkeypatch, capsys):
    """The JSON of a model on the drawn photos; and the notes."""

    def measure(model, *options, data=drawn):
        assert call(evaluate, monkeypatch, model, data, "--json", "--output", tmp_path / "eval", *options) == 0
        printed = capsys.readouterr()
        return json.loads(printed.out), printed.err

    return measure


@pytest.mark.parametrize("name", ["ckpt.tflite", "ckpt.onnx", "ckpt.pte", "ckpt.mlpackage"])
def test_a_file_has_the_figures_of_its_checkpoint(name, reference, measured, tmp_path):
    result, _ = measured(FIXTURES / name)
    assert result["photos"] == reference["photos"] == 4 * len(LISTED)
    assert result["model"] == str(FIXTURES / name)
    assert list(result["heads"]) == ["mix"]
    assert result["heads"]["mix"] == reference["heads"]["mix"]
    assert set(result["confidence"]["mix"]) == {"uncalibrated"}
    expected = reference["confidence"]["mix"]["uncalibrated"]
    assert result["confidence"]["mix"]["uncalibrated"] == pytest.approx(expected, abs=2e-3)
    assert len((tmp_path / "eval" / "per_class.csv").read_text().splitlines()) == 1 + len(LISTED)
    assert (tmp_path / "eval" / "confidence.png").is_file()


@pytest.mark.parametrize("options", [["--resize", "nearest"], ["--corrupt", "gaussian-noise:wrap", "--severity", 8]])
def test_a_file_sees_the_same_changed_photos_as_its_checkpoint(options, reference, measured):
    expected, _ = measured(CHECKPOINT, *options)
    result, _ = measured(MODEL, *options)
    assert result["heads"]["mix"] == expected["heads"]["mix"]
    plain, changed, nll = (each["confidence"]["mix"]["uncalibrated"]["nll"] for each in (reference, expected, result))
    assert nll == pytest.approx(changed, abs=1e-3)
    assert nll != pytest.approx(plain, abs=1e-3)


def test_pixels_are_corrupted_after_they_are_cropped(drawn):
    photo, preprocessing = next(drawn.rglob("*.png")), read_contract(MODEL).preprocessing.for_network()
    corruption = Corruption("color-jitter", seed=3)
    expected = corruption(load_image(photo, preprocessing, "area"))
    assert np.array_equal(load_image(photo, preprocessing, "area", corruption), expected)


def test_a_file_is_not_tested_on_what_the_run_beside_it_trained_on(drawn, measured, tmp_path):
    _, notes = measured(MODEL)
    assert "ckpt.tflite does not say what it was trained on, and no data.json of its run is beside it" in notes
    photos = tmp_path / "photos"
    photos.symlink_to(drawn / "test")
    run = tmp_path / "run"
    data = open_data(photos, val_fraction=0.2, test_fraction=0.2, seed=5)
    save_data(data, run / "data.json")
    result, notes = measured(MODEL, "--run", run, data=photos)
    assert result["photos"] == len(data.test)
    assert "does not say" not in notes
    (run / "ckpt.tflite").write_bytes(MODEL.read_bytes())
    assert measured(run / "ckpt.tflite", data=photos)[0]["photos"] == len(data.test)


def test_a_run_of_other_classes_or_none_is_refused(drawn, tmp_path, monkeypatch, capsys):
    for arguments, message in (
        (("--run", tmp_path), "data.json is no record of a data set"),
        (("--run", tmp_path / "other"), "is of other classes than"),
    ):
        write_birds(tmp_path / "birds", species=2, train=2, val=1, test=1, size=32, seed=0)
        save_data(open_data(tmp_path / "birds", val_fraction=0, test_fraction=0, seed=0), tmp_path / "other/data.json")
        assert call(evaluate, monkeypatch, MODEL, drawn, "--output", tmp_path / "eval", *arguments) == 2
        assert message in capsys.readouterr().err


def test_a_calibrated_file_says_what_became_of_its_promises(exported, pictures, tmp_path, monkeypatch, capsys):
    arguments = (exported.file("onnx"), pictures, "--split", "all", "--output", tmp_path)
    assert call(evaluate, monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "promised 95 % right from 0.600 on: " in printed
    assert " 1.25 " in printed
    assert "next: pmsi-bench" in printed


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "birds"
    write_birds(root, species=3, train=4, val=2, test=3, size=72, seed=0)
    return root


@pytest.fixture(scope="module")
def untrained(birds, tmp_path_factory):
    classes = tuple(sorted(path.name for path in (birds / "train").iterdir()))
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    return make_checkpoint(tmp_path_factory.mktemp("run") / "ckpt.pt", small_config(), classes, images)


def test_eval_writes_tables_and_a_picture(birds, untrained, tmp_path, monkeypatch, capsys):
    photos = tmp_path / ":dog: [bold]"
    photos.symlink_to(birds)
    assert call(evaluate, monkeypatch, untrained, photos, "--output", tmp_path / "eval") == 0
    printed = capsys.readouterr().out
    assert ":dog: [bold]" in printed
    for head in ("S3", "S4", "S5", "concat", "mix"):
        assert head in printed
    assert "9 photos" in printed
    assert "next: pmsi-export" in printed
    assert (tmp_path / "eval" / "heads.csv").read_text().splitlines()[0] == "head,top1,top5,top1_low,top1_high"
    assert len((tmp_path / "eval" / "per_class.csv").read_text().splitlines()) == 4
    with Image.open(tmp_path / "eval" / "confusion.png") as picture:
        assert picture.width > 300


def test_eval_prints_pure_json(birds, untrained, tmp_path, monkeypatch, capsys):
    arguments = (untrained, birds, "--split", "val", "--json", "--output", tmp_path)
    assert call(evaluate, monkeypatch, *arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["photos"] == 6
    assert set(result["heads"]["mix"]) == {"top1", "top5", "top1_low", "top1_high"}


def test_a_wrong_split_or_checkpoint_is_one_line_without_traceback(birds, untrained, tmp_path, monkeypatch, capsys):
    for arguments, message in (
        ((untrained, birds, "--split", "dev"), "no split is called dev"),
        ((tmp_path / "none.pt", birds), "does not exist"),
        ((untrained, tmp_path / "none"), "is no folder"),
        ((untrained, birds, "--output", untrained / "eval"), "nothing can be written in"),
    ):
        assert call(evaluate, monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert "Traceback" not in error
    assert call(evaluate, monkeypatch, tmp_path / "none.pt", birds, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device, birds, untrained, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert call(evaluate, monkeypatch, untrained, birds, "--device", device) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --device {device}: PyTorch {torch.__version__} sees no ")
    assert error.endswith("use --device cpu\n")
