"""What is said of errors that nobody foresaw, and of notes that explain one."""

import errno
import os
import resource
import subprocess
import sys

import pytest
import torch
from PIL import Image

from pmsi_mobile.config import Preprocessing
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.reasons import reason
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.loading import EvalPhotos, eval_loader
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from tests.conftest import make_checkpoint, small_config
from tests.pmsi_mobile.runs import ENVIRONMENT, call, command

BUS_ERROR = (
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of "
    "shared memory. Please try to raise your shared memory limit."
)
SHM = "unable to allocate shared memory(shm) for file </torch_7_1_0>: No space left on device (28)"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "run/state.pt"),
            "no space left on the disk for run/state.pt",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk: free some"),
        (PermissionError(errno.EACCES, "Permission denied", "run/x"), "permission denied: run/x"),
        (RuntimeError(BUS_ERROR), "too little shared memory (/dev/shm)"),
        (RuntimeError(SHM), "too little shared memory (/dev/shm)"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "memory ran out"),
        (RuntimeError("received 0 items of ancdata"), "ulimit -n"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "lower the batch size"),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), "no space left on the"),
        (RuntimeError("basic_ios::clear: iostream error"), "no space left on the disk"),
        (ValueError("x" * 2000 + "\n the end"), f"ValueError: {'x' * 2000} the end"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_reason_is_one_line_with_all_that_helps(error, said):
    assert said in reason(error)
    assert "\n" not in reason(error)


def test_a_loader_process_keeps_its_reason(tmp_path):
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (80, 80)).save(photo)
    photo.write_bytes(photo.read_bytes()[:-40])
    loader = eval_loader(EvalPhotos([Photo(photo, 0)], Preprocessing(resize=64, crop=64)), 1, workers=1)
    with pytest.raises(PmsiError) as error:
        next(iter(loader))
    assert reason(error.value) == (
        f"{photo} could be read before and cannot now (truncated): restore it, or start a new run"
    )


def test_the_notes_that_explain_an_error_are_shown(monkeypatch, capsys):
    def work() -> None:
        error = PmsiError("no photos")
        error.add_note("ignored a.heic: HEIC")
        error.add_note("ignored b.csv: no image")
        raise error

    assert call(entry_point(work), monkeypatch) == 2
    notes = "note: ignored a.heic: HEIC\nnote: ignored b.csv: no image\n"
    assert capsys.readouterr().err == f"{notes}error: no photos\n"


def test_a_file_that_cannot_be_written_is_named_by_the_disks_reason(tmp_path):
    """PyTorch's own writer says `unexpected pos`. A limit on a file's size stands for the full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "ckpt.pt"
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            make_checkpoint(path, small_config(), ("a", "b"), torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert reason(error.value) == f"file too large: {path}"
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(tmp_path):
    (tmp_path / "old").write_text("old")

    def write() -> None:
        with atomic_write(tmp_path / "old"), open("/dev/full", "w") as full:
            full.write("new")

    with pytest.raises(OSError, match="No space left") as error:
        write()
    assert error.value.filename == str(tmp_path / "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "old")]


@pytest.mark.skipif(sys.platform != "linux", reason="file names there are Unicode")
@pytest.mark.slow
def test_file_names_that_are_no_text_are_trained_on_and_written_as_codes(tmp_path):
    """In a locale without any characters but ASCII."""
    write_birds(tmp_path / "birds", species=2, train=4, val=1, test=1, size=72, seed=0)
    for split in ("train", "test"):
        folder = next((tmp_path / "birds" / split).iterdir())
        photo = next(folder.iterdir())
        os.rename(photo, os.fsencode(folder) + b"/caf\xe9" + os.fsencode(photo.suffix))
        with open(os.fsencode(folder) + b"/empty\xe9.jpg", "w"):
            pass
    plain = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    arguments = [*command(tmp_path / "birds", tmp_path / "run"), "--epochs", "1"]
    done = subprocess.run(arguments, env=plain, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"skipped" in done.stderr
    assert b"\\udce9" in (tmp_path / "run" / "predictions.csv").read_bytes()
