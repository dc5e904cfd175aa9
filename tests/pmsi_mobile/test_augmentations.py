"""What a phase sees under each augmentation of Table IV, and what it has to say of it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pmsi_mobile.augmentations.snapmix import BETA, proportions, random_box, snapmix
from pmsi_mobile.config import load_config
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods.activation_maps import class_activation_maps
from pmsi_mobile.methods.registry import augmentation, build_network, phases
from pmsi_mobile.training.batch import phase_input
from pmsi_mobile.training.mixes import mix_photos
from tests.conftest import randomise, small_config
from tests.pmsi_mobile.runs import run

LABELS = torch.tensor([0, 1, 2, 1])


def images():
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def network(**overrides):
    torch.manual_seed(0)
    return randomise(build_network(small_config(**overrides), 3))


def mixed(kind, seed=0):
    torch.manual_seed(seed)
    return mix_photos(kind, images(), LABELS, nn.Identity(), 3, torch.Generator().manual_seed(seed))


def test_a_method_has_its_own_augmentation_unless_another_is_asked_for():
    assert augmentation(small_config()) == "rmg"
    assert augmentation(small_config(method="baseline")) == "none"
    assert augmentation(small_config(train__augment="jigsaw")) == "jigsaw"


@pytest.mark.parametrize("kind", ["none", "rmg", "jigsaw", "cutmix", "mixup", "snapmix"])
def test_phases_see_tiles_of_their_own_or_all_the_same(kind):
    config = small_config()
    plan = phases(config, network().head_names)
    generator = torch.Generator().manual_seed(0)
    seen = [phase_input(images(), phase, kind, config.mosaic, generator) for phase in plan]
    same = [torch.equal(inputs, images()) for inputs in seen]
    assert same == ([False, False, False, True] if kind in ("rmg", "jigsaw") else [True] * 4)


@pytest.mark.parametrize("kind", ["none", "rmg", "jigsaw"])
def test_tiles_leave_the_labels_alone(kind):
    inputs, targets = mixed(kind)
    assert torch.equal(inputs, images())
    assert torch.equal(targets, LABELS)


def test_cutmix_labels_by_area():
    inputs, targets = mixed("cutmix")
    own = (inputs == images()).all(1).double().mean((1, 2))
    partner = F.one_hot(LABELS, 3).roll(1, 0)
    assert torch.allclose(
        targets.double(), own[:, None] * F.one_hot(LABELS, 3) + (1 - own[:, None]) * partner, atol=1e-5
    )
    assert 0 < own[0] < 1


def test_mixup_labels_by_share_and_half_of_the_batches():
    whole = 0
    for seed in range(40):
        inputs, targets = mixed("mixup", seed)
        if targets.ndim == 1:
            whole += 1
            assert torch.equal(inputs, images())
        else:
            share = targets[0, 0]  # its partner is of class 1
            assert torch.allclose(inputs, share * images() + (1 - share) * images().roll(1, 0), atol=1e-6)
    assert 8 < whole < 32


def test_snapmix_is_its_formula():
    maps = proportions(torch.rand(4, 5, 5, generator=torch.Generator().manual_seed(3)), 64, 64)
    inputs, targets = snapmix(images(), LABELS, maps, 3, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    partners = torch.randperm(4, generator=generator).numpy()
    (rows, columns), (other_rows, other_columns) = (random_box(64, 64, generator) for _ in range(2))
    for index, partner in enumerate(partners):
        of_own = maps.double().numpy()[index, rows, columns].sum()
        of_partner = maps.double().numpy()[partner, other_rows, other_columns].sum()
        expected = np.zeros(3)
        expected[LABELS[index]] += 1 - of_own
        expected[LABELS[partner]] += of_partner
        np.testing.assert_allclose(targets[index].numpy(), expected, atol=1e-5)
        outside = np.ones((64, 64), bool)
        outside[rows, columns] = False
        assert np.array_equal(inputs[index].numpy()[:, outside], images()[index].numpy()[:, outside])
        box, source = inputs[index, :, rows, columns], images()[partner, :, other_rows, other_columns]
        # Corners meet corners: align_corners.
        assert torch.allclose(box[:, [0, 0, -1, -1], [0, -1, 0, -1]], source[:, [0, 0, -1, -1], [0, -1, 0, -1]])


def test_the_loss_of_mixed_labels_is_the_weighted_sum_of_cross_entropies():
    logits, targets = torch.randn(4, 3), torch.tensor([[0.3, 0.4, 0.0]] * 4)
    expected = sum(targets[0, k] * F.cross_entropy(logits, torch.full((4,), k)) for k in range(3))
    assert torch.allclose(F.cross_entropy(logits, targets), expected)


def test_snapmix_looks_at_the_class_activation_map():
    plain = network(method="baseline")
    maps = class_activation_maps(plain, images(), LABELS)
    with torch.no_grad():
        features = plain.backbone(images())[-1]
    expected = torch.einsum("bc,bchw->bhw", plain.classifier[1].weight[LABELS], features)
    assert torch.allclose(proportions(maps, 64, 64), proportions(expected, 64, 64), atol=1e-6)
    assert torch.allclose(proportions(maps, 64, 64).sum((1, 2)), torch.ones(4))


def test_looking_changes_nothing_in_the_network():
    model = network().train()
    model.backbone.eval().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert class_activation_maps(model, images(), LABELS).shape == (4, 2, 2)
    assert model.training
    assert not model.backbone.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_map_without_relief_weighs_by_area():
    assert torch.allclose(proportions(torch.ones(1, 2, 2), 4, 8), torch.full((1, 4, 8), 1 / 32))


def test_boxes_have_the_published_areas_before_they_are_cut():
    generator = torch.Generator().manual_seed(0)
    boxes = [random_box(1000, 1000, generator) for _ in range(300)]
    inside = [r for r, c in boxes if r.start > 0 and r.stop < 1000]
    assert np.mean([((r.stop - r.start) / 1000) ** 2 for r in inside]) == pytest.approx(0.47, abs=0.06)
    assert all(r.stop > r.start and c.stop > c.start for r, c in boxes)
    assert BETA == 5


def test_a_teacher_and_mixed_photos_exclude_each_other():
    with pytest.raises(PmsiError, match=r"augment=cutmix and train\.teacher exclude each other"):
        load_config("mobile-rmg", {"train.augment": "cutmix", "train.teacher": ["ckpt.pt"]})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jigsaw", "cutmix", "mixup", "snapmix"])
def test_a_run_with_each_augmentation_ends_with_finite_losses(kind, tmp_path):
    write_birds(tmp_path / "birds", species=2, train=6, val=1, test=1, size=40, seed=0)
    settings = {"preprocessing__resize": 32, "preprocessing__crop": 32, "train__epochs": 1, "model__stages": 2}
    path, listener = run(tmp_path / "birds", tmp_path / "run", train__augment=kind, **settings)
    assert path.is_file()
    assert all(np.isfinite(value) for value in listener.rows[0].values())
