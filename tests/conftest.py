"""Fixtures that several components share."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
import torch
from torch import nn

from pmsi_mobile.checkpoint import Checkpoint, Golden, save_checkpoint
from pmsi_mobile.config import Config, load_config
from pmsi_mobile.methods.registry import Network, build_network
from pmsi_mobile.network.mixing import mix
from tests import slow

SHARED = Path(__file__).parents[2] / "shared"

torch.set_num_threads(1)
# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def small_config(**overrides: object) -> Config:
    """A network small enough to build, train and convert in seconds."""
    small = {
        "model.weights": "none",
        "model.width": 32,
        "model.hidden": 16,
        "preprocessing.resize": 72,
        "preprocessing.crop": 64,
        "train.epochs": 1,
        "train.batch_size": 8,
        "data.workers": 0,
    }
    return load_config("mobile-rmg", {**small, **{key.replace("__", "."): value for key, value in overrides.items()}})


def randomise(network: Network, seed: int = 0) -> Network:
    """Give every BatchNorm non-trivial statistics and affine weights, so that folding has something to fold."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            shape = module.running_mean.shape
            module.running_mean.copy_(torch.randn(shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(shape, generator=generator) + 0.5)
            module.weight.data.copy_(torch.rand(shape, generator=generator) + 0.5)
            module.bias.data.copy_(torch.randn(shape, generator=generator) * 0.1)
    return network.eval()


def make_checkpoint(path: Path, config: Config, classes: tuple[str, ...], images: torch.Tensor) -> Path:
    """A checkpoint of a network with random weights whose golden samples are `images` (uint8 [G, 3, H, W])."""
    torch.manual_seed(0)
    network = randomise(build_network(config, len(classes)))
    mean = torch.tensor(config.preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(config.preprocessing.std).view(3, 1, 1)
    with torch.no_grad():
        probabilities = mix(network((images / 255 - mean) / std), config.model.mix)
    checkpoint = Checkpoint(config, classes, network.state_dict(), {}, Golden(images, probabilities), {})
    save_checkpoint(checkpoint, path)
    return path


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return slow.is_left_out(collection_path, config) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow.mark(items)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photos and pretrained weights, where the checkout has them beside it."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder shared/ with real photos beside the checkout")
    return SHARED
