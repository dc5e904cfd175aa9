"""BatchNorm statistics for inference: of plain photos, and not those that training keeps."""

import csv

import pytest
import torch
from accelerate import Accelerator
from torch.nn.modules.batchnorm import _BatchNorm

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.config import Config, load_config
from pmsi_mobile.data.loading import EvalPhotos, derive_seed, eval_loader
from pmsi_mobile.data.splits import open_data
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.training.batch_norm import precise_statistics
from pmsi_mobile.training.loop import Trainer
from tests.pmsi_mobile.runs import SMALL, run, same_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(load_config("mobile-rmg", SMALL), 3).train()


@pytest.mark.parametrize("training", [True, False])
def test_the_statistics_are_the_mean_ones_of_the_batches_and_then_those_of_training_again(network, training):
    network.train(training)
    batches = [torch.randn(4, 3, 64, 64) for _ in range(3)]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    stem = network.backbone.stages[0][0]
    with torch.no_grad():
        maps = [stem[0](images) for images in batches]
    with precise_statistics(network, iter(batches)):
        assert not any(module.training for module in network.modules())
        mean = torch.stack([x.mean((0, 2, 3)) for x in maps]).mean(0)
        var = torch.stack([x.var((0, 2, 3)) for x in maps]).mean(0)
        assert torch.allclose(stem[1].running_mean, mean, atol=1e-5)
        assert torch.allclose(stem[1].running_var, var, atol=1e-5)
        within = network.state_dict()
        assert all(torch.equal(within[name], before[name]) for name, _ in network.named_parameters())
        for name, module in network.named_modules():
            if isinstance(module, _BatchNorm):
                assert not torch.equal(module.running_var, before[f"{name}.running_var"]), name
    assert network.training == training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert {module.momentum for module in network.modules() if isinstance(module, _BatchNorm)} == {0.1, 0.01}


def test_dropout_is_off_as_at_inference(network):
    batches = [torch.randn(4, 3, 64, 64)]
    seen = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        with precise_statistics(network, batches):
            seen.append(network.classifiers[0][0].running_mean.clone())
    assert torch.equal(*seen)


def test_a_run_trains_as_it_would_without_and_saves_the_statistics_of_plain_photos(birds, tmp_path):
    run(birds, tmp_path / "without", train__precise_bn=0, train__select="last")
    path, listener = run(birds, tmp_path / "with", train__precise_bn=12, train__select="last")
    assert same_weights(tmp_path / "without", tmp_path / "with")
    assert listener.rows[-1]["image_passes"] == 4 + 12 / 24
    config = load_checkpoint(path).config
    data = open_data(birds, val_fraction=0.1, test_fraction=0.1, seed=0)
    trainer = Trainer(config, data, tmp_path / "with", Accelerator())
    saved = load_checkpoint(path).network()
    evaluated = trainer.evaluator.evaluate(saved, data.val)
    with precise_statistics(trainer.network, plain_batches(trainer)):
        assert all(torch.equal(value, saved.state_dict()[name]) for name, value in trainer.network.state_dict().items())
    assert evaluated == load_checkpoint(path).metrics["val"]["heads"]
    with open(tmp_path / "with" / "metrics.csv", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["top1_mix"]) == pytest.approx(evaluated["mix"]["top1"], abs=1e-6)  # Six digits are written.


def plain_batches(trainer):
    """The first photos of the run's first order, as evaluation sees them."""
    order = torch.randperm(24, generator=torch.Generator().manual_seed(derive_seed(0, 0, 0))).tolist()
    photos = EvalPhotos([trainer.data.train[index] for index in order[:12]], trainer.config.preprocessing)
    for images, _ in eval_loader(photos, 6, 0):
        yield normalise(images.contiguous(memory_format=torch.channels_last), trainer.config.preprocessing)


def test_heads_for_a_phone_have_it_and_the_published_recipes_and_old_checkpoints_do_not():
    assert load_config("mobile-rmg").train.precise_bn == 1024
    assert load_config("paper").train.precise_bn == load_config("released").train.precise_bn == 0
    assert Config().train.precise_bn == 0
