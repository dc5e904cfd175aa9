"""Runs that are stopped in many ways and go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from accelerate import Accelerator

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import load_config, read_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import Interrupted, PmsiError
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.records import PREDICTIONS
from pmsi_mobile.training.loop import Trainer
from pmsi_mobile.training.optim import build_optimizer, build_scheduler
from pmsi_mobile.training.state import Length, Progress, restore_state, save_state
from tests.pmsi_mobile.runs import ENVIRONMENT, SMALL, Silent, call, command, press_ctrl_c_in_step, run, same_weights


@pytest.fixture(scope="module")
def finished(birds, tmp_path_factory):
    """A run of two epochs, by the command."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert call(train, monkeypatch, *command(birds, folder)[3:]) == 0
    return folder


def test_a_killed_run_resumes_to_the_same_weights(birds, tmp_path):
    """kill -9 at several moments, mid-epoch states included; the weights are those of an undisturbed run."""
    often = ["--set", "train.save_minutes=0.0001", "--set", "train.epochs=3"]
    run(birds, tmp_path / "whole", train__epochs=3)
    state = tmp_path / "killed" / "state.pt"
    resume: list[str] = []
    for _ in range(2):
        process = subprocess.Popen(
            command(birds, tmp_path / "killed", *often, *resume),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        before = state.stat().st_mtime_ns if state.exists() else 0
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        resume = ["--resume"]
    done = subprocess.run(
        command(birds, tmp_path / "killed", *often, "--resume"), capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    whole, killed = (load_checkpoint(tmp_path / name / "ckpt.pt") for name in ("whole", "killed"))
    assert torch.equal(whole.golden.probabilities, killed.golden.probabilities)
    assert whole.metrics["val"] == killed.metrics["val"]
    rows = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("whole", "killed")]
    assert len(rows[0]) == len(rows[1]) == 4


# pmsi-train that touches a file at the beginning of each step.
TELLING = """
import sys
from pathlib import Path
from pmsi_mobile.commands.train import main
from pmsi_mobile.training import loop
told, train_batch = Path(sys.argv.pop(1)), loop.train_batch
loop.train_batch = lambda *arguments: told.touch() or train_batch(*arguments)
main()
"""


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


@pytest.mark.parametrize(("number", "code", "workers"), [(signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 0)])
def test_ctrl_c_and_sigterm_save_the_state_and_say_how_to_go_on(birds, tmp_path, number, code, workers):
    """The signal reaches the whole process group, as from a terminal."""
    folder, step = tmp_path / "run", tmp_path / "step"
    long = ["--set", "train.epochs=1000", "--set", f"data.workers={workers}"]
    process = subprocess.Popen(
        [sys.executable, "-c", TELLING, step, *command(birds, folder, *long)[3:]],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    wait_for(folder / "metrics.csv", process)
    # Between two epochs nothing would be saved: it is there already.
    step.unlink(missing_ok=True)
    wait_for(step, process)
    (folder / "state.pt").unlink()  # What is there afterwards was saved for the signal.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert f"go on with: pmsi-train {birds} --output {folder} --resume" in errors.splitlines()[-1]
    assert (folder / "state.pt").stat().st_size > 0
    assert (folder / "curves.png").stat().st_size > 0


def test_an_interrupted_run_ends_with_the_bits_of_an_undisturbed_one(birds, tmp_path, monkeypatch):
    """Signals in the middle of a step, the last one of an epoch included."""
    run(birds, tmp_path / "whole")
    folder = tmp_path / "stopped"
    done = 0
    for steps in (1, 3, 2):
        press_ctrl_c_in_step(steps, monkeypatch)
        with pytest.raises(Interrupted):
            run(birds, folder)
        done += steps
        progress = torch.load(folder / "state.pt", weights_only=True)["progress"]
        assert progress["epoch"] * 4 + progress["step"] == done
    monkeypatch.undo()
    assert (folder / "curves.png").exists()
    run(birds, folder)
    assert same_weights(tmp_path / "whole", folder)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_during_evaluation_does_not_cost_the_epoch(birds, tmp_path, monkeypatch):
    config = load_config("mobile-rmg", SMALL)
    data = open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    trainer = Trainer(config, data, tmp_path, Accelerator())
    monkeypatch.setattr(trainer.evaluator, "evaluate", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted) as stop:
        trainer.fit(Silent())
    assert stop.value.exit_code == 143
    again = Trainer(config, data, tmp_path, Accelerator())
    assert (again.progress.epoch, again.progress.step) == (0, again.steps)
    listener = Silent()
    again.fit(listener)
    assert [row["epoch"] for row in listener.rows] == [1, 2]
    run(birds, tmp_path / "whole")
    assert same_weights(tmp_path / "whole", tmp_path)


def test_a_run_that_is_stopped_while_its_end_is_written_is_not_taken_for_done(birds, tmp_path, monkeypatch):
    def stop(*arguments):
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("pmsi_mobile.records.plot_curves", stop)
        with pytest.raises(Interrupted):
            run(birds, tmp_path, train__epochs=1)
    assert not (tmp_path / PREDICTIONS).exists()
    run(birds, tmp_path, train__epochs=1)
    assert (tmp_path / PREDICTIONS).exists()
    assert (tmp_path / "heads.csv").exists()


def test_what_does_not_change_the_result_may_change_at_resumption(birds, finished, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    options = ["--set", "data.workers=1", "--set", "train.save_minutes=9", "--device", "cpu", "--preset", "mobile-rmg"]
    for key in ("width", "hidden"):
        options += ["--set", f"model.{key}={SMALL[f'model.{key}']}"]
    for key in ("preprocessing.resize", "preprocessing.crop", "train.batch_size"):
        options += ["--set", f"{key}={SMALL[key]}"]
    assert call(train, monkeypatch, birds, "--output", folder, "--resume", *options) == 0
    config = read_config(folder / "config.yaml")
    # The preset has 20 epochs; those were not asked for, so the run's own stand.
    assert (config.data.workers, config.train.save_minutes, config.train.epochs) == (1, 9.0, 2)
    assert "data.workers is 1 from here on, it was 0" in capsys.readouterr().err


@pytest.mark.parametrize("schedule", ["cosine", "constant", "onecycle"])
def test_more_epochs_go_on_along_the_schedule_of_all_of_them(schedule, tmp_path):
    def start(epochs):
        config = load_config("mobile-rmg", {**SMALL, "train.schedule": schedule, "train.epochs": epochs}).train
        network = build_network(load_config("mobile-rmg", SMALL), 3)
        optimizer = build_optimizer(network, config)
        return network, None, optimizer, build_scheduler(optimizer, config, 4 * epochs), Accelerator()

    def advance(parts, steps):
        rates = []
        for _ in range(steps):
            parts[2].step()
            parts[3].step()
            rates += [group["lr"] for group in parts[2].param_groups]
        return rates

    parts = start(2)
    advance(parts, 7)
    save_state(tmp_path / "state.pt", *parts, Progress(epoch=1, step=3), Length(2, 4))
    longer, straight = start(4), start(4)
    restore_state(tmp_path / "state.pt", *longer, Length(4, 4))
    advance(straight, 7)
    assert advance(longer, 9) == pytest.approx(advance(straight, 9), rel=1e-9, abs=1e-12)


def test_a_finished_run_is_trained_further(birds, finished, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    assert call(train, monkeypatch, birds, "--output", folder, "--resume", "--epochs", 3) == 0
    assert len((folder / "metrics.csv").read_text().splitlines()) == 4
    assert "along the schedule of 3 epochs" in capsys.readouterr().err


def test_fewer_epochs_than_are_trained_are_refused(birds, finished, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    assert call(train, monkeypatch, birds, "--output", folder, "--resume", "--epochs", 1) == 2
    assert "has trained 2 epochs already" in capsys.readouterr().err
    assert read_config(folder / "config.yaml").train.epochs == 2


def test_what_would_change_the_result_is_refused_by_name(birds, finished, monkeypatch, capsys):
    options = ["--seed", "5", "--set", "train.lr_new=0.5", "--epochs", "9"]
    assert call(train, monkeypatch, birds, "--output", finished, "--resume", *options) == 2
    error = capsys.readouterr().err
    assert "seed (is 0, asked for 5)" in error
    assert "train.lr_new (is 0.02, asked for 0.5)" in error
    assert "train.epochs" not in error


def test_another_split_is_refused(birds, finished, tmp_path, monkeypatch, capsys):
    record = json.loads((finished / "data.json").read_text())
    (tmp_path / "same.json").write_text(json.dumps(record))
    record["val"], record["test"] = record["test"], record["val"]
    (tmp_path / "other.json").write_text(json.dumps(record))
    assert call(train, monkeypatch, birds, "--output", finished, "--resume", "--split", tmp_path / "other.json") == 2
    assert "has another split" in capsys.readouterr().err
    assert call(train, monkeypatch, birds, "--output", finished, "--resume", "--split", tmp_path / "same.json") == 0


def test_a_state_of_another_number_of_processes_is_refused(birds, finished, tmp_path):
    content = torch.load(finished / "state.pt", weights_only=True)
    content["length"]["steps_per_epoch"] = 2
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(PmsiError, match="as many processes as before"):
        run(birds, tmp_path)


def test_a_run_without_its_state_is_not_overwritten(birds, finished, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(finished, tmp_path / "run")
    assert call(train, monkeypatch, birds, "--output", folder) == 2
    assert "go on with --resume" in capsys.readouterr().err
    (folder / "state.pt").unlink()
    assert call(train, monkeypatch, birds, "--output", folder) == 2
    assert "already holds a trained model" in capsys.readouterr().err
    assert call(train, monkeypatch, birds, "--output", tmp_path / "none", "--resume") == 2
    assert "no run to resume" in capsys.readouterr().err
