"""What makes training worth its passes: averaged weights, and that runs with all of it go on as they were."""

import pytest
import torch
from accelerate import Accelerator

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.config import load_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import Interrupted
from pmsi_mobile.training import batch, loop
from pmsi_mobile.training.loop import Trainer
from tests.pmsi_mobile.runs import SMALL, press_ctrl_c_in_step, run, same_weights

EVERYTHING = {
    "train__precise_bn": 12,
    "train__ema": 0.8,
    "train__label_smoothing": 0.1,
    "train__class_weights": "balanced",
    "model__heads": "lean",
    "model__last_conv": False,
}


def test_the_average_decays_per_batch_and_is_what_is_saved(birds, tmp_path, monkeypatch):
    seen = []

    def train_batch(model, *arguments):
        losses = batch.train_batch(model, *arguments)
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return losses

    monkeypatch.setattr(loop, "train_batch", train_batch)
    path, _ = run(birds, tmp_path / "run", train__epochs=1, train__ema=0.8, train__precise_bn=0)
    first, *others = seen
    for name, saved in load_checkpoint(path).weights.items():
        if saved.is_floating_point():
            average = first[name]
            for value in others:
                average = 0.8 * average + 0.2 * value[name]
            assert torch.allclose(saved, average, atol=1e-5), name


def test_the_averaged_network_has_statistics_of_its_own(birds, tmp_path):
    path, _ = run(birds, tmp_path / "run", train__epochs=1, train__ema=0.8, train__precise_bn=12)
    config, data = load_checkpoint(path).config, open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    trainer = Trainer(config, data, tmp_path / "run", Accelerator())
    with trainer.evaluator.at_inference(trainer.trained) as network:
        assert network is not trainer.network
        saved = load_checkpoint(path).weights
        assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


def test_a_run_with_everything_resumes_with_the_bits_of_an_undisturbed_one(birds, tmp_path, monkeypatch):
    run(birds, tmp_path / "whole", **EVERYTHING)
    folder = tmp_path / "stopped"
    for steps in (3, 2):
        press_ctrl_c_in_step(steps, monkeypatch)
        with pytest.raises(Interrupted):
            run(birds, folder, **EVERYTHING)
    monkeypatch.undo()
    run(birds, folder, **EVERYTHING)
    assert same_weights(tmp_path / "whole", folder)
    whole, stopped = (load_checkpoint(tmp_path / name / "ckpt.pt") for name in ("whole", "stopped"))
    assert all(torch.equal(value, stopped.weights[name]) for name, value in whole.weights.items())
    assert whole.metrics["val"] == stopped.metrics["val"]


def test_everything_is_off_in_what_older_checkpoints_say():
    assert load_config("paper").train.ema == 0
    assert SMALL.keys().isdisjoint({key.replace("__", ".") for key in EVERYTHING})
