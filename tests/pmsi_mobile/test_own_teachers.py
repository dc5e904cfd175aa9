"""`--teacher PRESET`: a teacher that the run trains itself, before its student."""

import csv
import json
from pathlib import Path

import pytest

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import load_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.training.own_teachers import own_teachers, teacher_files
from tests.pmsi_mobile.runs import SMALL, call, command, press_ctrl_c_in_step


def options(birds, folder):
    return [*command(birds, folder)[3:], "--teacher", "mobile-plain", "--set", "train.precise_bn=0"]


@pytest.mark.slow
def test_a_teacher_is_trained_first_and_an_interrupted_one_goes_on(birds, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    own = folder / "teachers" / "mobile-plain"
    with monkeypatch.context() as patch:
        press_ctrl_c_in_step(6, patch)  # In the teacher's second epoch.
        assert call(train, monkeypatch, *options(birds, folder)) == 130
    assert f"go on with: pmsi-train {birds} --output {folder} --resume" in capsys.readouterr().err
    assert [path.parent for path in folder.rglob("state.pt")] == [own]
    assert call(train, monkeypatch, *options(birds, folder)) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert call(train, monkeypatch, birds, "--output", folder, "--resume") == 0
    said = capsys.readouterr()
    assert said.err.index("baseline (teacher) on") < said.err.index("rmg-pmsi on")
    assert said.out.splitlines()[-1].startswith("next: pmsi-export")
    teacher, student = load_checkpoint(own / "ckpt.pt"), load_checkpoint(folder / "ckpt.pt")
    assert (teacher.config.method, teacher.config.train.teacher) == ("baseline", ())
    assert (student.config.method, student.config.train.teacher) == ("rmg-pmsi", ("mobile-plain",))
    assert json.loads((own / "data.json").read_text()) == json.loads((folder / "data.json").read_text())
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        assert [row["image_passes"] for row in csv.DictReader(file)] == ["5", "5"]  # Four phases and the teacher.


def test_a_teacher_has_its_students_photos_start_and_length_and_its_presets_rest(tmp_path):
    config = load_config(
        "mobile-rmg", {**SMALL, "train.teacher": ["mobile-plain", "x.pt"], "train.lr_new": 0.5, "seed": 3}
    )
    [(folder, own)] = own_teachers(config, tmp_path).items()
    preset = load_config("mobile-plain")
    assert folder == tmp_path / "teachers" / "mobile-plain"
    assert (own.preprocessing, own.data) == (config.preprocessing, config.data)
    assert (own.seed, own.train.epochs, own.model.weights) == (3, 2, "none")
    assert (own.train.lr_new, own.train.ema) == (preset.train.lr_new, preset.train.ema)
    assert teacher_files(config, tmp_path) == (folder / "ckpt.pt", Path("x.pt"))


def test_a_fine_tuned_student_cannot_train_its_teacher(tmp_path):
    config = load_config("mobile-plain", {"model.start_from": "ckpt.pt", "train.teacher": ["mobile"]})
    with pytest.raises(PmsiError, match=r"this run starts from a checkpoint: train the teacher by itself"):
        own_teachers(config, tmp_path)
