"""One run of a plan in a process of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import yaml

from pmsi_mobile.experiments.locks import in_turn
from pmsi_mobile.experiments.plan import Run
from pmsi_mobile.records import PREDICTIONS

CHECKPOINT = "ckpt.pt"
LOG = "log.txt"
UNTAUGHT = "the run that it learns from failed"
"""Why a run was not trained."""


class RunFailed(Exception):
    """A run ended without a result; the message is its last line."""


def is_done(root: Path, run: Run) -> bool:
    """Whether the run has been trained to its end."""
    return (root / run.folder / PREDICTIONS).is_file()


def split_record(root: Path, fold: int) -> Path:
    """Where it is recorded which photo is in which split of a fold."""
    return root / "folds" / f"{fold}.json"


def execute(
    run: Run, root: Path, data: Path, threads: int = 1, started: Callable[[subprocess.Popen[bytes]], None] | None = None
) -> None:
    """Train a run of the sweep in `root` to its end, from where an earlier process left it; its output goes to
    log.txt in its folder. `started` is told the process.

    The training process saves its state and ends when an exception stops this function, or when this process is
    killed; whoever comes next waits until it has.
    Raises RunFailed when it ends without a result.
    """
    folder = root / run.folder
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with in_turn(folder) as descriptors:
        if is_done(root, run):
            return  # By the process that was waited for.
        with (
            open(folder / LOG, "ab") as log,
            subprocess.Popen(
                command_line(run, root, data),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=descriptors,
            ) as process,
        ):
            if started:
                started(process)
            try:
                # Not wait(): Ray cancels a task by an exception that a thread gets only while it is at work in Python.
                while process.poll() is None:
                    time.sleep(0.1)
            finally:
                process.terminate()
                code = process.wait()
    if code or not is_done(root, run):
        with open(folder / LOG, "rb") as written:
            last = _last_line(written)
        raise RunFailed(f"{run.title}: {last} (see {folder / LOG})")


def command_line(run: Run, root: Path, data: Path) -> list[str]:
    """What is run: pmsi-train with everything that the run says."""
    folder = root / run.folder
    # -P: a file in the current folder must not pass for a module.
    command = [sys.executable, "-P", "-m", "pmsi_mobile.experiments.child", "pmsi_mobile.commands.train"]
    command += [str(data), "--output", str(folder)]
    command += ["--split", str(split_record(root, run.fold)), *(["--preset", run.preset] if run.preset else [])]
    weights = {"model.weights": str(root / run.backbone_of / CHECKPOINT)} if run.backbone_of else {}
    for key, value in {**run.settings, **weights}.items():
        # Flow style on one line, the end-of-document mark of bare scalars taken off.
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("...").strip()
        command += ["--set", f"{key}={text}"]
    for teacher in run.teachers:
        command += ["--teacher", str(root / teacher / CHECKPOINT)]
    if (folder / "config.yaml").is_file():
        command.append("--resume")
    return command


def _last_line(log: IO[bytes]) -> str:
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it ended without a word"
