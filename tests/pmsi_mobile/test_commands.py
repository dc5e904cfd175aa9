"""The commands as a user meets them."""

import io
import json
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image
from rich.console import Console

from pmsi_export.commands.evaluate import main as evaluate
from pmsi_mobile.commands import _train_output
from pmsi_mobile.commands._train_output import ConsoleListener, class_names
from pmsi_mobile.data.birds import write_birds
from tests.conftest import make_checkpoint, small_config
from tests.pmsi_mobile.runs import call


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "birds"
    write_birds(root, species=3, train=4, val=2, test=3, size=72, seed=0)
    return root


@pytest.fixture(scope="module")
def checkpoint(birds, tmp_path_factory):
    classes = tuple(sorted(path.name for path in (birds / "train").iterdir()))
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    return make_checkpoint(tmp_path_factory.mktemp("run") / "ckpt.pt", small_config(), classes, images)


@pytest.mark.parametrize("module", ["birds", "train", "calibrate"])
def test_help_needs_no_torch(module):
    code = (
        f"import sys; sys.argv = ['x', '--help']\nfrom pmsi_mobile.commands.{module} import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_eval_writes_tables_and_a_picture(birds, checkpoint, tmp_path, monkeypatch, capsys):
    photos = tmp_path / ":dog: [bold]"
    photos.symlink_to(birds)
    assert call(evaluate, monkeypatch, checkpoint, photos, "--output", tmp_path / "eval") == 0
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


def test_eval_prints_pure_json(birds, checkpoint, tmp_path, monkeypatch, capsys):
    arguments = (checkpoint, birds, "--split", "val", "--json", "--output", tmp_path)
    assert call(evaluate, monkeypatch, *arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["photos"] == 6
    assert set(result["heads"]["mix"]) == {"top1", "top5"}


def test_a_wrong_split_or_checkpoint_is_one_line_without_traceback(birds, checkpoint, tmp_path, monkeypatch, capsys):
    for arguments, message in (
        ((checkpoint, birds, "--split", "dev"), "no split is called dev"),
        ((tmp_path / "none.pt", birds), "does not exist"),
        ((checkpoint, tmp_path / "none"), "is no folder"),
        ((checkpoint, birds, "--output", checkpoint / "eval"), "nothing can be written in"),
    ):
        assert call(evaluate, monkeypatch, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert "Traceback" not in error
    assert call(evaluate, monkeypatch, tmp_path / "none.pt", birds, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


def test_the_bar_keeps_its_time_left_at_80_columns(monkeypatch):
    screen = io.StringIO()
    narrow = Console(file=screen, force_terminal=True, width=80, legacy_windows=False)
    monkeypatch.setattr(_train_output, "console", narrow)
    losses = {"S3": 1.234, "S4": 1.234, "S5": 1.234, "concat": 1.234}
    with ConsoleListener(120) as listener:
        listener.step(99, 1000, 5000, losses, 123.4)
        listener.step(99, 2000, 5000, losses, 123.4)
        listener.bar.refresh()
        line = narrow.render_str(screen.getvalue().splitlines()[-1]).plain
    assert "epoch 100/120" in line
    assert "497000/600000" in line
    assert re.search(r"\d:\d\d:\d\d|-:--:--", line), line
    assert "123.4 img/s" in line


def test_the_first_class_names_are_said_and_how_many_there_are():
    assert class_names(("a", "b")) == "classes: a, b"
    assert class_names([f"c{number}" for number in range(20)]).endswith("c6, c7, ... (20 classes)")
    assert class_names(("[bold]x", "y\x1b[2J")) == "classes: [bold]x, y\\x1b[2J"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(device, birds, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert call(evaluate, monkeypatch, checkpoint, birds, "--device", device) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --device {device}: PyTorch {torch.__version__} sees no ")
    assert error.endswith("use --device cpu\n")
