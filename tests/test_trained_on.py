"""No command tests a network on the photos that it was trained on: from the photos to what is printed."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pmsi_export.commands import export as export_command
from pmsi_export.commands.evaluate import main as evaluate
from pmsi_mobile.checkpoint import load_checkpoint, save_checkpoint
from pmsi_mobile.data.splits import open_data, save_data
from tests.conftest import make_checkpoint, small_config
from tests.pmsi_mobile.runs import call

FRACTIONS = {"val_fraction": 0.1, "test_fraction": 0.1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Photos that have grown since a run was trained on them, the run's checkpoint, and its training photos."""
    root = tmp_path_factory.mktemp("run")
    photos, checkpoint = root / "photos", root / "ckpt.pt"

    def add(first: int, last: int) -> None:
        for number in range(first, last):
            path = photos / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64), (number, 3 * number, 255 - number)).save(path)

    add(0, 40)
    # Drawn with another seed than the checkpoint's: what the commands would draw anew has training photos in its test.
    data = open_data(photos, **FRACTIONS, seed=1)
    make_checkpoint(checkpoint, small_config(seed=0), data.classes, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    digests = frozenset(photo.digest for photo in data.train)
    save_checkpoint(replace(load_checkpoint(checkpoint), trained_on=digests), checkpoint)
    save_data(data, root / "data.json")
    add(40, 60)
    return photos, checkpoint, {photo.path for photo in data.train}


@pytest.fixture(params=["data.json and ckpt.pt", "ckpt.pt alone"])
def run(trained, request):
    photos, checkpoint, trained_on = trained
    record = checkpoint.with_name("data.json")
    text = record.read_text()
    if request.param == "ckpt.pt alone":
        record.unlink()
    yield photos, checkpoint, trained_on
    record.write_text(text)


def test_what_was_trained_on_is_in_the_test_that_would_be_drawn(trained):
    photos, _, trained_on = trained
    drawn = open_data(photos, **FRACTIONS, seed=0)
    assert trained_on & {photo.path for photo in drawn.test}


def test_eval_leaves_it_out_and_says_so(run, tmp_path, monkeypatch, capsys):
    photos, checkpoint, trained_on = run
    assert call(evaluate, monkeypatch, checkpoint, photos, "--json", "--output", tmp_path) == 0
    printed, notes = capsys.readouterr()
    assert "photos of split test that the run was trained on" in notes
    assert 0 < json.loads(printed)["photos"] <= 60 - len(trained_on)
    assert call(evaluate, monkeypatch, checkpoint, photos, "--split", "all", "--json", "--output", tmp_path) == 0
    assert f"{len(trained_on)} of these photos were trained on: this is no test" in capsys.readouterr().err


def test_export_leaves_it_out_and_says_so(run, tmp_path, monkeypatch, capsys):
    photos, checkpoint, trained_on = run
    asked = []

    def converting(jobs, _):
        asked.extend(jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(export_command, "_run", converting)
    arguments = ("--format", "torchscript", "--data", photos, "--output", tmp_path)
    assert call(export_command.main, monkeypatch, checkpoint, *arguments) == 130
    assert "photos of split test that the run was trained on" in capsys.readouterr().err
    [job] = asked
    assert job.photos.paths
    assert not trained_on & set(job.photos.paths)
