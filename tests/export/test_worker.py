import errno
import os
from multiprocessing import Pipe

from pmsi_export.jobs.job import Job
from pmsi_export.jobs.subprocesses import Failure, _answer, _apart, export_apart


class Bomb:
    """Aborts the process that unpickles it."""

    def __reduce__(self):
        return os.abort, ()


def test_a_converter_that_crashes_takes_nothing_with_it(tmp_path):
    outcome = export_apart(Job(tmp_path / "ckpt.pt", "tflite", "fp32", tmp_path, "ckpt", photos=Bomb()))
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("the converter was killed by SIGABRT")


def fill_the_disk():
    raise OSError(errno.ENOSPC, "No space left on device", "quantised.pt")


def test_a_process_says_what_a_command_says(tmp_path):
    outcome = _apart(fill_the_disk, log=tmp_path / "ckpt.onnx.log")
    assert outcome.reason.startswith("no space left on the disk for quantised.pt: free some")


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path):
    receiver, sender = Pipe(duplex=False)
    _answer(print, (), tmp_path / "gone" / "ckpt.onnx.log", sender)
    failure = receiver.recv()
    assert failure.reason.startswith(f"{tmp_path / 'gone'} cannot be written to (No such file or directory)")
