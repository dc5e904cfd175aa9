"""Starts that fail: said before photos are checked, and no obstacle to the corrected command."""

import shutil
import subprocess

import pytest

from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import load_config, read_config, save_config
from pmsi_mobile.data import splits
from tests.pmsi_mobile.runs import ENVIRONMENT, SMALL, call, command


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backbone", "mobilenet_v9"], "unknown backbone"),
        (["--backbone", "convnext_atto", "--set", "model.stages=5"], "has 4 stages"),
        (["--weights", "absent.pt"], "does not exist"),
        (["--weights", "imagenet"], "could not be fetched"),
        (["--set", "train.epoch=3"], "there is no 'train.epoch'"),
        (["--preset", "papers"], "unknown preset"),
        (["--split", "absent.json"], "does not exist"),
        (["--device", "mps"], "sees no GPU of Apple's"),
        (["--device", "cpu", "--set", "train.precision=fp16"], "train.precision=fp16"),
    ],
)
def test_a_start_that_fails_checks_no_photo_and_leaves_nothing(birds, tmp_path, monkeypatch, capsys, options, message):
    def fetch(*_, **__):
        raise OSError("no network")

    # First, for it imports torchvision, which looks into the second.
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fetch)
    monkeypatch.setattr(splits, "load_rgb", lambda *_: pytest.fail("a photo was decoded"))
    small = [text for key, value in SMALL.items() if key != "model.weights" for text in ("--set", f"{key}={value}")]
    weights = [] if "--weights" in options else ["--weights", "none"]
    assert call(train, monkeypatch, birds, "--output", tmp_path / "run", *small, *weights, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("output", ["run", "run/deeper", "../link/run", None])
def test_a_run_inside_the_photos_would_be_a_class_of_them(birds, tmp_path, monkeypatch, capsys, output):
    monkeypatch.setattr(splits, "load_rgb", lambda *_: pytest.fail("a photo was decoded"))
    photos = tmp_path / "photos"
    shutil.copytree(birds / "train", photos)
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(photos)
    asked = () if output is None else ("--output", output)
    assert call(train, monkeypatch, "." if output is None else photos, *asked) == 2
    assert "would be taken for a class of photos: choose another --output" in capsys.readouterr().err
    assert len(list(photos.iterdir())) == 3


def test_an_output_that_cannot_be_written_is_noticed_before_photos_are_checked(birds, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(splits, "load_rgb", lambda *_: pytest.fail("a photo was decoded"))
    (tmp_path / "file").write_text("")
    assert call(train, monkeypatch, birds, "--output", tmp_path / "file" / "run") == 2
    assert "nothing can be written in" in capsys.readouterr().err

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert call(train, monkeypatch, birds, "--output", tmp_path / "run") == 2
    assert "(read-only file system): choose another --output" in capsys.readouterr().err


def test_what_a_failed_start_left_does_not_stand_in_the_way(birds, tmp_path):
    """As a run leaves it that was killed before its first state: settings, split and calibration photos."""
    folder = tmp_path / "run"
    save_config(load_config("paper", {"data.val_fraction": 0.5}), folder / "config.yaml")
    (folder / "data.json").write_text("{}")
    (folder / "calibration").mkdir()
    (folder / "calibration" / "000.jpg").write_text("of other photos")
    done = subprocess.run(command(birds, folder), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_config(folder / "config.yaml") == load_config("mobile-rmg", SMALL)
    assert (folder / "calibration" / "000.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_resume_of_a_failed_start_starts_anew_with_its_settings(birds, tmp_path):
    folder = tmp_path / "run"
    save_config(load_config("mobile-rmg", {**SMALL, "seed": 7, "model.backbone": "absent"}), folder / "config.yaml")
    arguments = [*command(birds, folder)[:6], "--resume", "--backbone", "mobilenet_v2"]
    done = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_config(folder / "config.yaml").seed == 7
