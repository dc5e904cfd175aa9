"""The training loop on drawn birds: phases, schedules, resumption, processes."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.nn.utils import parameters_to_vector

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.config import load_config
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.registry import build_network, phases
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.training.batch import train_batch
from pmsi_mobile.training.loop import Trainer
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer, build_scheduler
from tests.pmsi_mobile.runs import ENVIRONMENT, SMALL, run, same_weights


def test_a_run_leaves_what_its_user_looks_for(birds, tmp_path):
    path, listener = run(birds, tmp_path / "run")
    for name in ("state.pt", "metrics.csv", "curves.png", "heads.csv", "ckpt.pt"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    assert [row["epoch"] for row in listener.rows] == [1, 2]
    checkpoint = load_checkpoint(path)
    assert set(checkpoint.metrics["val"]["heads"]) == {"S3", "S4", "S5", "concat", "mix"}
    assert checkpoint.metrics["test"]["photos"] == 6
    assert checkpoint.confidence == {}  # Six photos calibrate nothing.
    assert checkpoint.metrics["last_epoch"]["epoch"] == 2
    assert checkpoint.golden.images.shape == (6, 3, 64, 64)
    assert torch.allclose(checkpoint.golden.probabilities.sum(1), torch.ones(6))
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header.startswith("epoch,loss_S3,loss_S4,loss_S5,loss_concat,image_passes,lr_backbone,lr_new")


def test_each_test_photo_has_a_row_of_predictions_that_agrees_with_the_accuracy(birds, tmp_path):
    path, _ = run(birds, tmp_path / "run", train__epochs=1)
    checkpoint, data = load_checkpoint(path), open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    with open(tmp_path / "run" / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [birds / row["photo"] for row in rows] == [photo.path for photo in data.test]
    assert [row["class"] for row in rows] == [checkpoint.classes[photo.label] for photo in data.test]
    right = [row["predicted"] == row["class"] for row in rows]
    assert sum(right) / len(right) == pytest.approx(checkpoint.metrics["test"]["heads"]["mix"]["top1"])
    for row, correct in zip(rows, right, strict=True):
        first, of_class = float(row["probability"]), float(row["probability_of_class"])
        assert 0 < of_class <= first <= 1
        assert of_class == first or not correct


def test_the_best_epoch_is_kept_and_the_last_one_on_request(birds, tmp_path):
    path, listener = run(birds, tmp_path / "best", train__epochs=3)
    tops = [row["top1_mix"] for row in listener.rows]
    assert load_checkpoint(path).metrics["epoch"] == max(range(3), key=lambda epoch: (tops[epoch], epoch)) + 1
    path, _ = run(birds, tmp_path / "last", train__epochs=3, train__select="last")
    assert load_checkpoint(path).metrics["epoch"] == 3


def test_the_baseline_trains_and_reports_one_head(birds, tmp_path):
    path, listener = run(birds, tmp_path / "run", method="baseline", train__epochs=1)
    assert set(load_checkpoint(path).metrics["val"]["heads"]) == {"baseline"}
    assert "loss_baseline" in listener.rows[0]


def test_mixed_precision_keeps_weights_and_golden_samples_in_float32(birds, tmp_path):
    # The parity gates compare exported files with these probabilities, so they must not be those of autocast.
    AcceleratorState._reset_state()  # it is one per process, and the other tests made one without autocast
    path, listener = run(birds, tmp_path / "run", "bf16", train__epochs=1, train__precision="bf16")
    AcceleratorState._reset_state()
    checkpoint = load_checkpoint(path)
    assert all(math.isfinite(value) for value in listener.rows[0].values())
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float32, torch.int64}
    with torch.no_grad():
        logits = checkpoint.network()(normalise(checkpoint.golden.images, checkpoint.config.preprocessing))
    assert torch.allclose(mix(logits, "logits"), checkpoint.golden.probabilities, atol=1e-6)


def test_loader_processes_do_not_change_the_result(birds, tmp_path):
    run(birds, tmp_path / "none", train__epochs=1)
    run(birds, tmp_path / "two", train__epochs=1, data__workers=2)
    assert same_weights(tmp_path / "none", tmp_path / "two")


def test_each_phase_makes_one_step_from_its_own_input():
    config = load_config(
        "paper", {**SMALL, "train.concat_weight": 2.0, "train.lr_backbone": 0.01, "train.lr_new": 0.01}
    )
    torch.manual_seed(0)
    network = build_network(config, 4).train()
    plan = phases(config, network.head_names)
    seen, steps = [], []
    network.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    optimizer = build_optimizer(network, config.train)
    optimizer.register_step_post_hook(
        lambda *_: steps.append([c[4].weight.detach().clone() for c in network.classifiers])
    )
    before = [c[4].weight.detach().clone() for c in network.classifiers]
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    labels = torch.arange(4)
    generator, loss = torch.Generator().manual_seed(0), Loss(config.train, labels, 4)
    losses = train_batch(network, optimizer, Accelerator(), images, labels, plan, config, generator, loss)
    assert losses.shape == (4,)
    assert len(seen) == len(steps) == 4
    assert len({tuple(x.flatten()[:5000].tolist()) for x in seen}) == 4
    for phase, after in enumerate(steps):
        for head, (old, new) in enumerate(zip(before, after, strict=True)):
            # Only the phase's classifier has a gradient; the others do not move, not even by decay or momentum.
            assert torch.equal(old, new) == (head != phase)
        before = after


def test_a_step_goes_no_further_than_the_clipped_gradient():
    plain = {"method": "baseline", "train.momentum": 0, "train.weight_decay": 0}
    rates = {"train.lr_backbone": 0.1, "train.lr_new": 0.1}

    def distance(clip_norm):
        config = load_config("paper", {**SMALL, **plain, **rates, "train.clip_norm": clip_norm})
        torch.manual_seed(0)
        network, accelerator = build_network(config, 4).train(), Accelerator()
        before = parameters_to_vector(network.parameters())
        optimizer = accelerator.prepare_optimizer(build_optimizer(network, config.train))
        images, labels = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8), torch.arange(4)
        plan, loss = phases(config, network.head_names), Loss(config.train, labels, 4)
        train_batch(network, optimizer, accelerator, images, labels, plan, config, torch.Generator(), loss)
        return (parameters_to_vector(network.parameters()) - before).norm().item()

    whole = distance(0)
    assert distance(100 * whole) == pytest.approx(whole)
    assert distance(whole) == pytest.approx(0.1 * whole, rel=1e-3)


def test_frozen_epochs_leave_the_backbone_but_not_its_statistics(birds, tmp_path):
    for freeze_bn in (False, True):
        folder = tmp_path / str(freeze_bn)
        frozen = {"train__frozen_epochs": 1, "train__freeze_bn": freeze_bn, "train__precise_bn": 0}
        path, _ = run(birds, folder, train__epochs=1, **frozen)
        checkpoint = load_checkpoint(path)
        data = open_data(birds, val_fraction=0, test_fraction=0, seed=0)
        initial = Trainer(checkpoint.config, data, tmp_path, Accelerator()).network.state_dict()
        names = {name for name in initial if name.startswith("backbone.")}
        moved = {name for name in names if not torch.equal(checkpoint.weights[name], initial[name])}
        statistics = {name for name in names if "running_" in name or "num_batches" in name}
        assert len(statistics) == 3 * 52  # of every BatchNorm of MobileNetV2
        assert moved == (set() if freeze_bn else statistics)


def test_schedules_end_where_the_recipes_say():
    for schedule, first, last in (("cosine", 1.0, 0.0), ("constant", 1.0, 1.0), ("onecycle", 1 / 25, 0.0)):
        config = load_config("paper", {**SMALL, "train.schedule": schedule})
        optimizer = build_optimizer(build_network(config, 3), config.train)
        scheduler = build_scheduler(optimizer, config.train, 100)
        rates = []
        for _ in range(100):
            rates.append(optimizer.param_groups[1]["lr"])
            optimizer.step()
            scheduler.step()
        assert rates[0] == pytest.approx(first * 1e-3)
        assert rates[-1] == pytest.approx(last * 1e-3, abs=1e-6)
        assert max(rates) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("schedule", ["cosine", "constant", "onecycle"])
def test_a_schedule_goes_on_from_its_saved_state(schedule, tmp_path):
    config = load_config("paper", {**SMALL, "train.schedule": schedule})
    network = build_network(config, 3)

    def start():
        optimizer = build_optimizer(network, config.train)
        return optimizer, build_scheduler(optimizer, config.train, 20)

    def advance(optimizer, scheduler, steps):
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
        return [group["lr"] for group in optimizer.param_groups]

    optimizer, scheduler = start()
    advance(optimizer, scheduler, 7)
    torch.save([optimizer.state_dict(), scheduler.state_dict()], tmp_path / "state.pt")
    expected = advance(optimizer, scheduler, 5)
    optimizer, scheduler = start()
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    assert advance(optimizer, scheduler, 5) == expected


def test_two_processes_hold_the_same_parameters(birds, tmp_path):
    """torchrun with gloo on the CPU; frozen and free epochs, so that unused parameters come and go."""
    script = Path(__file__).with_name("ddp_run.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [
            *torchrun,
            str(script),
            str(birds),
            str(tmp_path),
            json.dumps({**SMALL, "train.frozen_epochs": 1, "train.batch_size": 4}),
        ],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert load_checkpoint(tmp_path / "run" / "ckpt.pt").metrics["val"]["photos"] == 6
