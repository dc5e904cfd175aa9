"""How long a run is, what it draws, and how fast each part learns."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.commands.train import main as train
from pmsi_mobile.config import load_config
from pmsi_mobile.data.loading import evened_batches, shuffled_batches
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.errors import Interrupted, PmsiError
from pmsi_mobile.methods.registry import batches, build_network
from pmsi_mobile.training import batch, loop
from pmsi_mobile.training.budget import epochs_within
from pmsi_mobile.training.evaluator import Evaluator
from pmsi_mobile.training.optim import build_optimizer, build_scheduler
from tests.conftest import small_config
from tests.pmsi_mobile.runs import SMALL, call, command, press_ctrl_c_in_step, run

# What is looked at here is when a run ends, so most of them train nothing.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
LABELS = [0] * 40 + [1] * 10 + [2] * 5


@pytest.fixture
def untrained(monkeypatch):
    """Batches take no time and teach nothing."""
    for module in (batch, loop):
        monkeypatch.setattr(module, "train_batch", lambda *arguments: torch.zeros(len(arguments[5])))


# The sampler.


def test_a_balanced_epoch_is_as_long_and_has_as_many_of_each_class():
    drawn = evened_batches(LABELS, 5, seed=0, epoch=0)
    assert [len(batch) for batch in drawn] == [len(batch) for batch in shuffled_batches(LABELS, 5, 0, 0)]
    photos = [photo for batch in drawn for photo in batch]
    assert sorted(Counter(LABELS[photo] for photo in photos).values()) == [18, 18, 19]
    # No photo of a class comes again before all of it have come.
    assert set(Counter(photo for photo in photos if LABELS[photo] == 0).values()) == {1}
    assert set(Counter(photo for photo in photos if LABELS[photo] == 1).values()) <= {1, 2}
    assert set(Counter(photo for photo in photos if LABELS[photo] == 2).values()) <= {3, 4}


def test_balanced_photos_are_a_function_of_seed_and_epoch_shared_out_among_processes():
    whole = evened_batches(LABELS, 4, 0, 0)
    assert whole == evened_batches(LABELS, 4, 0, 0)
    assert whole != evened_batches(LABELS, 4, 0, 1)
    assert whole != evened_batches(LABELS, 4, 1, 0)
    parts = [evened_batches(LABELS, 2, 0, 0, rank, 2) for rank in (0, 1)]
    assert [len(part) for part in parts] == [13, 13]
    for both, *halves in zip(whole, *parts, strict=True):
        assert sorted(both) == sorted(halves[0] + halves[1])


def test_the_sampler_is_that_of_the_configuration():
    assert batches(small_config()) is shuffled_batches
    assert batches(small_config(train__sampler="balanced")) is evened_batches
    for other in ({"method": "api"}, {"train__class_weights": "balanced"}):
        with pytest.raises(PmsiError, match=r"train\.sampler"):
            small_config(train__sampler="balanced", **other)


# Rates of the stages.


def test_earlier_stages_learn_more_slowly_along_the_same_schedule():
    for schedule in ("cosine", "constant", "onecycle"):
        config = load_config(
            "paper",
            {"model.weights": "none", "train.lr_decay": 0.5, "train.lr_backbone": 0.8, "train.schedule": schedule},
        ).train
        network = build_network(small_config(), 3)
        optimizer = build_optimizer(network, config)
        groups = optimizer.param_groups
        assert [group["lr"] for group in groups] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1e-3])
        for group, stage in zip(groups, network.backbone.stages, strict=False):
            assert {id(each) for each in group["params"]} == {id(each) for each in stage.parameters()}
        assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
        scheduler = build_scheduler(optimizer, config, 20)
        for _ in range(7):
            optimizer.step()
            scheduler.step()
        rates = [group["lr"] for group in groups]
        assert [rate / rates[4] for rate in rates[:5]] == pytest.approx([1 / 16, 1 / 8, 1 / 4, 1 / 2, 1], rel=1e-3)


def test_without_decay_the_backbone_is_one_group_as_in_states_of_earlier_versions():
    groups = build_optimizer(build_network(small_config(), 3), small_config().train).param_groups
    assert [group["lr"] for group in groups] == [0.004, 0.02]


def test_a_timm_model_has_no_known_stages():
    with pytest.raises(PmsiError, match=r"train\.lr_decay is for mobilenet_v2, resnet18, resnet34"):
        small_config(model__backbone="mnasnet_small", train__lr_decay=0.5)


# Early stopping.


def test_a_run_ends_when_it_has_become_no_better_for_some_epochs(birds, tmp_path, untrained, monkeypatch):
    tops = iter([0.2, 0.5, 0.5, 0.4, 0.9])

    def evaluate(*_):
        top = next(tops)
        return {head: {"top1": top, "top5": 1.0} for head in ("S3", "S4", "S5", "concat", "mix")}

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    lasting = {"train__epochs": 9, "train__patience": 2, "train__precise_bn": 0}
    path, listener = run(birds, tmp_path / "best", **lasting)
    assert [row["top1_mix"] for row in listener.rows] == [0.2, 0.5, 0.5, 0.4]
    assert load_checkpoint(path).metrics["epoch"] == 3  # Of two as good the one that has learnt longer.
    # The state says so too: a resumed run only ends.
    _, listener = run(birds, tmp_path / "best", **lasting)
    assert listener.rows == []
    tops = iter([0.5, 0.5, 0.4])
    path, _ = run(birds, tmp_path / "last", **lasting, train__select="last")
    assert load_checkpoint(path).metrics["epoch"] == 3


def test_patience_without_validation_photos_is_refused(birds, tmp_path):
    data = replace(open_data(birds, val_fraction=0, test_fraction=0, seed=0), val=())
    with pytest.raises(PmsiError, match=r"train\.patience needs validation photos"):
        loop.Trainer(load_config("mobile-rmg", {**SMALL, "train.patience": 1}), data, tmp_path, Accelerator())


# A run of so many minutes.


def test_as_many_epochs_as_end_nearest_to_the_time():
    assert epochs_within(10, spent=0, done=0, per_epoch=60) == 10
    assert epochs_within(10, spent=0, done=0, per_epoch=58) == 10
    assert epochs_within(10, spent=100, done=1, per_epoch=50) == 11
    assert epochs_within(1, spent=100, done=0.5, per_epoch=200) == 1
    assert epochs_within(1, spent=100, done=1, per_epoch=200) == 2


@pytest.fixture
def clock(untrained, monkeypatch):
    """Each batch takes as many seconds as `clock.step`, all else none."""
    now = SimpleNamespace(seconds=0.0, step=1.0)
    instant = batch.train_batch

    def timed(*arguments):
        now.seconds += now.step
        return instant(*arguments)

    for module in (batch, loop):
        monkeypatch.setattr(module, "train_batch", timed)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def last_rate(folder):
    return torch.load(folder / "state.pt", weights_only=True)["optimizer"]["param_groups"][-1]["lr"]


def test_a_run_of_some_minutes_has_the_epochs_that_fit_and_ends_its_schedule(birds, tmp_path, clock):
    _, listener = run(birds, tmp_path, train__minutes=21 / 60, train__epochs=2)
    assert len(listener.rows) == 5  # Of 4 steps each.
    assert max(row["lr_new"] for row in listener.rows) > 0.01
    assert last_rate(tmp_path) == pytest.approx(0, abs=1e-5)


def test_a_run_that_becomes_slower_has_fewer_and_ends_its_schedule_too(birds, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(loop, "_WARM_STEPS", 1)
    monkeypatch.setattr(loop, "_TIMED_STEPS", 3)
    seen = []

    class Listener:
        def step(self, *_):
            pass

        def epoch(self, row):
            seen.append(row)
            clock.step = 3.0

    monkeypatch.setattr("tests.pmsi_mobile.runs.Silent", Listener)
    run(birds, tmp_path, train__minutes=28 / 60, train__epochs=100)
    assert len(seen) == 3  # 4 s and twice 12 s.
    assert last_rate(tmp_path) == pytest.approx(0, abs=1e-5)


def test_a_run_of_some_minutes_goes_on_within_them(birds, tmp_path, clock, monkeypatch):
    press_ctrl_c_in_step(10, monkeypatch)
    timed = {"train__minutes": 20 / 60, "train__epochs": 2}
    with pytest.raises(Interrupted):
        run(birds, tmp_path, **timed)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["length"]["epochs"] == 5
    _, listener = run(birds, tmp_path, **timed)
    assert len(listener.rows) == 3
    assert last_rate(tmp_path) == pytest.approx(0, abs=1e-5)


def test_epochs_and_minutes_exclude_each_other(birds, tmp_path, monkeypatch, capsys):
    options = ["--epochs", "3", "--minutes", "3"]
    assert call(train, monkeypatch, birds, "--output", tmp_path / "run", *options) == 2
    assert "--epochs and --minutes both say how long" in capsys.readouterr().err
    timed = ["--minutes", "0.001"]
    assert call(train, monkeypatch, *command(birds, tmp_path / "run")[3:], *timed) == 0
    assert "epoch 1 of as many as fit into 0.001 minutes" in capsys.readouterr().err
    assert call(train, monkeypatch, birds, "--output", tmp_path / "run", "--resume", "--epochs", 9) == 2
    assert "leave --epochs out" in capsys.readouterr().err
