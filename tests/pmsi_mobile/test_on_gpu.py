"""What runs on a GPU, on fake tensors of one: a tensor that is left on the CPU is an error."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pmsi_mobile.augmentations import mosaic
from pmsi_mobile.data import transforms
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.objective import Targets
from pmsi_mobile.methods.registry import METHODS, augmentation, build_network, phases
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.training import loss as training_loss
from pmsi_mobile.training.batch import phase_input
from pmsi_mobile.training.loss import Loss
from tests.conftest import small_config

CLASSES = 5
LABELS = torch.arange(CLASSES)
RECIPES = {
    "released": {"model__heads": "released"},
    "separable": {"model__heads": "separable"},
    "lean": {"model__heads": "lean", "model__last_conv": False},
    "per sample": {"mosaic__draw": "sample"},
    "smoothed and balanced": {"train__label_smoothing": 0.1, "train__class_weights": "balanced"},
    "baseline": {"method": "baseline"},
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_phases_and_evaluation_stay_on_the_device(recipe, monkeypatch):
    # What is drawn has no value among fake tensors.
    monkeypatch.setattr(mosaic, "_random_order", lambda *_: [1, 2, 3, 0])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: 0)
    monkeypatch.setattr(training_loss, "balanced_weights", lambda _, classes: torch.ones(classes))
    # Kept ones would be of another test's mode.
    monkeypatch.setattr(transforms, "_statistics", transforms._statistics.__wrapped__)
    config = small_config(**RECIPES[recipe])
    with FakeTensorMode():
        with torch.device("cuda"):
            network = build_network(config, CLASSES)
            images = torch.zeros(8, 3, 64, 64, dtype=torch.uint8)
        labels, soft_labels = torch.zeros(8, dtype=torch.int64, device="cuda"), torch.rand(8, CLASSES, device="cuda")
        loss = Loss(config.train, LABELS, CLASSES).to(images.device)
        whole = normalise(images, config.preprocessing)
        network.train()
        for index, phase in enumerate(phases(config, network.head_names)):
            inputs = phase_input(whole, phase, augmentation(config), config.mosaic, torch.Generator().manual_seed(0))
            value = METHODS[config.method].objective(network, inputs, index, Targets(labels, soft_labels), loss)
            assert (value.device.type, value.ndim) == ("cuda", 0)
        network.eval()
        with torch.no_grad():
            mixed = mix(network(whole), config.model.mix)
        assert (mixed.device.type, tuple(mixed.shape)) == ("cuda", (8, CLASSES))


def test_a_tensor_that_was_forgotten_on_the_cpu_is_found():
    with FakeTensorMode():
        with torch.device("cuda"):
            network = build_network(small_config(), CLASSES)
        with pytest.raises(RuntimeError, match="device"):
            network(torch.zeros(2, 3, 64, 64))
