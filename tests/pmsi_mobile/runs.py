"""Training runs small enough for tests, in this process or by the command; commands as a user calls them."""

import os
import signal
import sys

import pytest
import torch
from accelerate import Accelerator

from pmsi_mobile.config import load_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.training import batch, loop
from pmsi_mobile.training.loop import Trainer

SMALL = {
    "method": "rmg-pmsi",
    "model.weights": "none",
    "model.width": 16,
    "model.hidden": 8,
    "preprocessing.resize": 72,
    "preprocessing.crop": 64,
    "train.epochs": 2,
    "train.batch_size": 6,
    "data.workers": 0,
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Silent:
    def __init__(self):
        self.rows = []

    def step(self, epoch, step, steps, losses, photos_per_second):
        pass

    def epoch(self, row):
        self.rows.append(row)


def run(birds, folder, precision="no", **overrides):
    config = load_config("mobile-rmg", {**SMALL, **{key.replace("__", "."): value for key, value in overrides.items()}})
    data = open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    listener = Silent()
    folder.mkdir(parents=True, exist_ok=True)
    return Trainer(config, data, folder, Accelerator(mixed_precision=precision)).fit(listener), listener


def command(birds, folder, *extra):
    arguments = [sys.executable, "-m", "pmsi_mobile.commands.train", str(birds), "--output", str(folder)]
    for key, value in SMALL.items():
        arguments += ["--set", f"{key}={value}"]
    return [*arguments, *extra]


def same_weights(first, second):
    a, b = (torch.load(path, weights_only=True)["network"] for path in (first / "state.pt", second / "state.pt"))
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


def call(main, monkeypatch, *arguments):
    """Run a command's `main` in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_status:
        main()
    return exit_status.value.code


def press_ctrl_c_in_step(number, monkeypatch):
    """In the middle of the `number`th batch that is trained from here on, the first being 1."""
    calls = []

    def train_batch(*arguments):
        calls.append(number)
        if len(calls) == number:
            signal.raise_signal(signal.SIGINT)
        return batch.train_batch(*arguments)

    monkeypatch.setattr(loop, "train_batch", train_batch)
