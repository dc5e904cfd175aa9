import copy

import pytest
import torch
from torch import nn

from pmsi_export.weights.float16 import round_to_half

IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    """What folding leaves of a depthwise BatchNorm with a tiny variance: a nearly constant channel, weights in the
    hundreds, and a bias that takes it all back."""
    torch.manual_seed(0)
    first = nn.Conv2d(3, 4, 3, padding=1)
    first.weight.data.mul_(1e-5)
    first.bias.data.fill_(2)
    depthwise = nn.Conv2d(4, 4, 3, groups=4)
    depthwise.weight.data.mul_(900)
    depthwise.bias.data = 1 - 2 * depthwise.weight.data.sum(dim=(1, 2, 3))
    return nn.Sequential(first, nn.ReLU6(), depthwise, nn.ReLU6(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5)).eval()


def layers(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("biases", [False, True])
def test_every_weight_is_a_float16_number_beside_it(network, biases):
    for before, after in zip(layers(network), layers(round_to_half(network, IMAGES, biases=biases)), strict=True):
        assert torch.equal(after.weight, after.weight.half().float())
        step = 2**-10 * before.weight.abs() + 2**-24
        assert ((after.weight - before.weight).abs() <= step).all()
        if biases:
            assert torch.equal(after.bias, after.bias.half().float())


def test_the_graph_given_is_left_as_it_was(network):
    before = copy.deepcopy(network.state_dict())
    round_to_half(network, IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_layers_without_a_bias_and_with_channels_last_are_rounded_too():
    class ChannelsLast(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    torch.manual_seed(0)
    # As timm's EfficientNets and ConvNeXts have them.
    network = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), ChannelsLast(), nn.Linear(5, 7)).eval()
    rounded = round_to_half(network, IMAGES)
    assert rounded[0].bias is None
    pixels = IMAGES.float()
    exact, got = network(pixels), rounded(pixels)
    means = (exact - got).flatten(0, 2).mean(dim=0)
    assert means.abs().max() < 1e-3 * exact.abs().max()


@torch.no_grad()
def test_large_weights_that_cancel_against_their_bias_do_no_harm(network):
    plain = copy.deepcopy(network)
    for layer in layers(plain):
        layer.weight.copy_(layer.weight.half())
    pixels = IMAGES.float()
    exact = network(pixels)
    plain_error, error = ((graph(pixels) - exact).abs().max() for graph in (plain, round_to_half(network, IMAGES)))
    assert plain_error > 0.02
    assert error < plain_error / 8
