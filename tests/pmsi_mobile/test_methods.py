"""The methods of Table V: each held against its formula written plainly, on its gradients, on learning something."""

from collections import Counter

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from pmsi_mobile.config import load_config
from pmsi_mobile.data.birds import choose_species, draw_bird
from pmsi_mobile.data.loading import balanced_batches
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods import api, pc
from pmsi_mobile.methods.objective import Targets
from pmsi_mobile.methods.registry import METHODS, augmentation, build_network, phases
from pmsi_mobile.network.backbones import build_backbone, last_blocks
from pmsi_mobile.network.poolings import BilinearPooling, HierarchicalBilinearPooling
from pmsi_mobile.training.batch import train_batch
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer
from tests.conftest import randomise, small_config

OTHERS = ("pmg", "bcnn", "hbp", "pc", "api")
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def build(method, **overrides):
    config = small_config(method=method, **overrides)
    torch.manual_seed(0)
    return config, build_network(config, 3)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def root_of_length_one(vector):
    rooted = np.sign(vector) * np.sqrt(np.abs(vector))
    return rooted / np.sqrt((rooted**2).sum())


def test_bilinear_pooling_is_its_formula():
    maps = torch.randn(2, 5, 3, 4)
    pooled = BilinearPooling()([maps]).numpy()
    for index, features in enumerate(maps.double().numpy()):
        products = np.zeros((5, 5))
        for row in range(3):
            for column in range(4):
                products += np.outer(features[:, row, column], features[:, row, column]) / 12
        np.testing.assert_allclose(pooled[index], root_of_length_one(products.ravel()), atol=1e-3)


def test_hierarchical_bilinear_pooling_is_its_formula():
    torch.manual_seed(0)
    pooling = HierarchicalBilinearPooling((4, 4, 6), 8)
    maps = [torch.randn(2, channels, 3, 3) for channels in (4, 4, 6)]
    with torch.no_grad():
        pooled = pooling(maps).numpy()
    projected = [
        np.einsum("dc,bchw->bdhw", p.weight[:, :, 0, 0].detach().double(), x.double())
        + p.bias.detach().double().numpy()[:, None, None]
        for p, x in zip(pooling.projections, maps, strict=True)
    ]
    for index in range(2):
        parts = [(projected[a][index] * projected[b][index]).sum((1, 2)) for a, b in ((0, 1), (0, 2), (1, 2))]
        expected = np.concatenate([root_of_length_one(part) for part in parts])
        np.testing.assert_allclose(pooled[index], expected, atol=1e-3)


def test_bilinear_methods_pool_what_the_method_says():
    _, network = build("bcnn")
    assert network.backbone.channels == (320,)
    assert network.classifier.in_features == 102_400
    _, network = build("hbp")
    assert network.backbone.channels == (160, 160, 320)
    assert network.classifier.in_features == 3 * 8192
    assert build("hbp", model__projection=24)[1].classifier.in_features == 3 * 24
    _, whole = build("baseline", model__last_conv=False)
    whole.backbone.load_state_dict(
        dict(zip(whole.backbone.state_dict(), network.backbone.state_dict().values(), strict=True))
    )
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        last = network.eval().backbone(images)[-1]
        assert torch.allclose(last, whole.eval().backbone(images)[-1])


def test_hbp_needs_three_blocks_in_the_last_stage():
    assert last_blocks(build_backbone("resnet34", 1), 3).channels == (512, 512, 512)
    with pytest.raises(PmsiError, match="no 3 blocks"):
        build("hbp", model__backbone="resnet18")
    with pytest.raises(PmsiError, match="no 4 blocks"):
        build("hbp", model__backbone="resnet34", model__last_block=False)


def test_hbp_without_the_last_block_takes_the_three_before_it():
    _, whole = build("hbp", model__projection=8)
    _, cut = build("hbp", model__projection=8, model__last_block=False)
    assert cut.backbone.channels == (160, 160, 160)
    assert cut.backbone.stage_names == ("S5.1", "S5.2", "S5.3")
    of_whole, of_cut = (list(each.backbone.modules()) for each in (whole, cut))
    blocks = [[m for m in modules if type(m).__name__ == "InvertedResidual"] for modules in (of_whole, of_cut)]
    assert len(blocks[1]) == len(blocks[0]) - 1
    for block, same in zip(blocks[1], blocks[0], strict=False):
        block.load_state_dict(same.state_dict())
    cut.backbone.stages[0].load_state_dict(whole.backbone.stages[0].state_dict())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        fifteen, sixteen, _ = whole.eval().backbone(images)
        maps = cut.eval().backbone(images)
    assert torch.equal(maps[1], fifteen)
    assert torch.equal(maps[2], sixteen)


def test_pairwise_confusion_is_its_formula():
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 2, 2, 1])
    probabilities = softmax(logits.double().numpy())
    distances = []
    for first, second in ((0, 3), (1, 4), (2, 5)):
        distance = np.sqrt(((probabilities[first] - probabilities[second]) ** 2).sum())
        distances.append(distance if labels[first] != labels[second] else 0)
    assert pc.euclidean_confusion(logits, labels).item() == pytest.approx(np.mean(distances), abs=1e-6)


def test_confusion_brings_predictions_of_different_classes_together_and_leaves_those_of_one():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 1.0]], requires_grad=True)
    pc.euclidean_confusion(logits, torch.tensor([0, 1, 1, 1])).backward()
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]
    assert logits.grad[2, 1] > 0 > logits.grad[2, 0]
    assert torch.equal(logits.grad[[1, 3]], torch.zeros(2, 2))


def test_pairs_are_the_nearest_of_the_own_class_and_of_the_others():
    features = torch.tensor([[0.0], [5.0], [6.0], [1.0], [9.0]])
    first, second = api.nearest_pairs(features, torch.tensor([0, 0, 0, 1, 2]))
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs == [(0, 1), (1, 2), (2, 1), (0, 3), (1, 3), (2, 4), (3, 0), (4, 2)]


def test_the_comparison_and_its_loss_are_their_formulas():
    _, network = build("api")
    network.eval()  # dropout would differ
    features = torch.randn(6, 1280)
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def linear(name, x):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    first, second = api.nearest_pairs(features, LABELS)
    assert len(first) == 12
    entropies, rankings = [], []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        one, two = features[a].double().numpy(), features[b].double().numpy()
        mutual = linear("mutual.2", linear("mutual.0", np.concatenate([one, two])))
        gates = [1 / (1 + np.exp(-mutual * x)) for x in (one, two)]
        for x, photo, own, other in ((one, a, *gates), (two, b, *gates[::-1])):
            under_own, under_other = (softmax(linear("classifier.1", x + gate * x)) for gate in (own, other))
            label = int(LABELS[photo])
            entropies += [-np.log(under_own[label]), -np.log(under_other[label])]
            rankings.append(max(0, under_other[label] - under_own[label] + 0.05))

    class OfFeatures(torch.nn.Module):
        def forward(self, images, phase, labels):
            return network.compare(features, labels)

    criterion = Loss(load_config("paper").train, LABELS, 3)
    loss = api.objective(OfFeatures(), None, 0, Targets(LABELS), criterion)
    assert loss.item() == pytest.approx(np.mean(entropies) + np.mean(rankings), rel=1e-4)


def test_a_teachers_soft_labels_go_with_their_photos():
    targets = Targets(LABELS, torch.eye(6)).take(torch.tensor([4, 0]))
    assert targets.labels.tolist() == [2, 0]
    assert torch.equal(targets.soft_labels, torch.eye(6)[[4, 0]])


def test_balanced_batches_have_four_photos_of_each_of_their_classes():
    labels = [photo % 40 for photo in range(600)]
    batches = balanced_batches(labels, 120, seed=0, epoch=0)
    assert len(batches) == 5
    for batch in batches:
        counts = Counter(labels[photo] for photo in batch)
        assert len(counts) == 30
        assert set(counts.values()) == {4}
        assert len(set(batch)) == 120
    assert batches == balanced_batches(labels, 120, seed=0, epoch=0)
    assert batches != balanced_batches(labels, 120, seed=0, epoch=1)
    parts = [balanced_batches(labels, 60, 0, 0, rank, 2) for rank in (0, 1)]
    assert [len(part) for part in parts] == [5, 5]
    assert parts[0] != parts[1]


def test_few_classes_have_more_photos_and_few_photos_come_again():
    [batch] = balanced_batches([0, 0, 0, 1], 12, seed=0, epoch=0)
    assert Counter(batch)[3] == 6
    assert sum(photo < 3 for photo in batch) == 6
    [batch, *_] = balanced_batches(list(range(8)) * 2, 6, seed=0, epoch=0)
    assert len({photo % 8 for photo in batch}) == 2
    with pytest.raises(PmsiError, match="batch_size to 4 or more"):
        balanced_batches([0, 1, 0, 1], 3, seed=0, epoch=0)


def test_pmg_is_progressive_training_with_jigsaws_and_no_gates():
    config, network = build("pmg", train__concat_weight=1.0)
    assert network.mlp is None
    assert augmentation(config) == "jigsaw"
    plan = phases(config, network.head_names)
    assert [2**phase.recursions for phase in plan] == [8, 4, 2, 1]
    assert [phase.loss_weight for phase in plan] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"method": "pc", "train.augment": "cutmix"}, "mixes classes"),
        ({"method": "bcnn", "train.augment": "rmg"}, "phases of stages"),
        ({"model.progressive": False, "train.augment": "jigsaw"}, "phases of stages"),
    ],
)
def test_an_augmentation_that_means_nothing_to_a_method_is_refused(overrides, message):
    with pytest.raises(PmsiError, match=message):
        load_config("mobile-rmg", overrides)


def one_batch(config, network, images, labels, steps):
    optimizer, accelerator = build_optimizer(network, config.train), Accelerator(cpu=True)
    plan, loss = phases(config, network.head_names), Loss(config.train, labels, 3)
    generator = torch.Generator().manual_seed(0)
    network.train()
    return [
        train_batch(network, optimizer, accelerator, images, labels, plan, config, generator, loss)
        for _ in range(steps)
    ]


@pytest.mark.parametrize("method", OTHERS)
def test_training_moves_every_weight_of_a_method_and_it_learns(method):
    """Twelve drawn birds of three species, by heart: losses fall by half from random weights, however they are rounded:
    with weights 1e-5 off they fall to 0.35 of the first and less."""
    # Pooled products have length 1: their classifiers learn at rates of about 1, in their authors' programs too.
    own = {"bcnn": (0.02, 3.0, 30, 64), "hbp": (0.01, 1.0, 30, 64)}
    backbone, new, steps, side = own.get(method, (0.01, 0.01, 24, 32))
    rates = {"train__lr_backbone": backbone, "train__lr_new": new, "train__weight_decay": 0, "train__clip_norm": 0}
    config, network = build(method, **rates, model__stages=2)
    species = choose_species(3, 0)
    birds = [draw_bird(species[index % 3], np.random.default_rng(index), side).image for index in range(12)]
    images = torch.from_numpy(np.stack(birds)).permute(0, 3, 1, 2)
    labels = torch.arange(12) % 3
    before = {name: value.clone() for name, value in network.named_parameters()}
    losses = one_batch(config, network, images, labels, steps)
    # What is normalised right after has a bias whose gradient is 0 but for rounding.
    still = [name for name, value in network.named_parameters() if value.ndim > 1 and torch.equal(value, before[name])]
    assert still == []
    assert losses[-1].mean() < 0.5 * losses[0].mean()


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_gives_logits_of_its_heads(method):
    _, network = build(method)
    logits = randomise(network)(torch.rand(2, 3, 64, 64))
    assert logits.shape == (2, len(network.head_names), 3)
    assert set(METHODS) == {"rmg-pmsi", "baseline", *OTHERS}
    assert F.softmax(logits, -1).isfinite().all()
