"""Calibration at the end of a run, and of a checkpoint that is there."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pmsi_export.commands.evaluate import main as evaluate
from pmsi_mobile.checkpoint import load_checkpoint, save_checkpoint
from pmsi_mobile.commands.calibrate import main as calibrate
from pmsi_mobile.confidence.record import Answers
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.splits import open_data, save_data
from tests.pmsi_mobile.runs import call, run

VALIDATING = 57


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "birds"
    write_birds(root, species=3, train=4, val=VALIDATING // 3, test=2, size=72, seed=0)
    return root


@pytest.fixture(scope="module")
def trained(birds, tmp_path_factory):
    return run(birds, tmp_path_factory.mktemp("run"), train__epochs=1)[0]


@pytest.fixture
def checkpoint(trained, birds, tmp_path):
    """As an earlier version left it, with the record of its photos beside it."""
    content = torch.load(trained, weights_only=True)
    del content["confidence"]
    torch.save(content, tmp_path / "ckpt.pt")
    save_data(open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0), tmp_path / "data.json")
    return tmp_path / "ckpt.pt"


def test_a_run_ends_calibrated_on_its_validation_photos(trained):
    confidence = load_checkpoint(trained).confidence
    assert {head: values.photos for head, values in confidence.items()} == {"mix": VALIDATING, "concat": VALIDATING}
    assert confidence["mix"].temperature != 1
    worth = load_checkpoint(trained).metrics["test"]["confidence"]
    assert set(worth) == {"uncalibrated", "calibrated"}
    assert 0 <= worth["calibrated"]["ece"] <= 1


def test_a_checkpoint_is_calibrated_later_on_the_same_photos(checkpoint, trained, birds, monkeypatch, capsys):
    before = load_checkpoint(checkpoint)
    assert before.confidence == {}
    assert call(calibrate, monkeypatch, checkpoint, birds) == 0
    printed = capsys.readouterr()
    assert f"calibrated on {VALIDATING} photos: temperature" in printed.out
    assert f"{VALIDATING} photos are too few for a temperature that is certain: about " in printed.out
    assert "99 % right: too few photos to promise that" in printed.out
    assert "none of the classes: above an unknown score of " in printed.out
    assert "left out 12 photos that the run was trained on" in printed.err
    after = load_checkpoint(checkpoint)
    assert after.confidence["mix"].temperature == pytest.approx(
        load_checkpoint(trained).confidence["mix"].temperature, rel=1e-3
    )
    assert torch.equal(after.golden.probabilities, before.golden.probabilities)
    assert all(torch.equal(after.weights[name], tensor) for name, tensor in before.weights.items())


def test_evaluation_says_what_probabilities_are_worth_and_what_became_of_promises(
    trained, birds, tmp_path, monkeypatch, capsys
):
    loaded = load_checkpoint(trained)
    promise = Answers(right=0.9, threshold=0.0, coverage=1.0)
    promising = {"mix": loaded.confidence["mix"].model_copy(update={"answers": (promise,)})}
    save_checkpoint(replace(loaded, confidence={**loaded.confidence, **promising}), tmp_path / "ckpt.pt")
    arguments = (tmp_path / "ckpt.pt", birds, "--split", "val", "--output", tmp_path / "eval")
    assert call(evaluate, monkeypatch, *arguments, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    worth = result["confidence"]["mix"]
    assert worth["calibrated"]["nll"] < worth["uncalibrated"]["nll"]
    assert set(worth["calibrated"]) == {"nll", "brier", "ece", "ece_low", "ece_high", "aurc"}
    [answers] = result["answers"]
    assert (answers["right"], answers["answered_here"]) == (0.9, 1)
    assert answers["right_here"] == pytest.approx(result["heads"]["mix"]["top1"])
    assert call(evaluate, monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "promised 90 % right from 0.000 on: " in printed
    assert "of 100% of the photos" in printed
    rows = (tmp_path / "eval" / "confidence.csv").read_text().splitlines()
    assert rows[0].startswith("prediction,probabilities,nll,brier,ece")
    assert len(rows) == 5
    with Image.open(tmp_path / "eval" / "confidence.png") as picture:
        assert picture.width > 600


def test_what_was_trained_on_calibrates_nothing(checkpoint, birds, tmp_path, monkeypatch, capsys):
    (checkpoint.parent / "data.json").unlink()
    shutil.copytree(birds / "val", tmp_path / "fresh")
    for photo in (birds / "train").glob("*/*"):
        shutil.copy(photo, tmp_path / "fresh" / photo.parent.name / f"copy-{photo.name}")
    assert call(calibrate, monkeypatch, checkpoint, tmp_path / "fresh", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["confidence"]["mix"]["photos"] == 57
    assert "left out 12 photos" in printed.err


def test_too_few_photos_leave_the_checkpoint_as_it_was(checkpoint, birds, monkeypatch, capsys):
    (checkpoint.parent / "data.json").unlink()
    before = checkpoint.read_bytes()
    assert call(calibrate, monkeypatch, checkpoint, birds / "train") == 2
    assert "0 photos are too few to calibrate on: give 20 or more" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before
