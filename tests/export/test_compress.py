import copy

import pytest
import torch
from torch import nn

from pmsi_export.graph.fold import MixGraph
from pmsi_export.weights.low_bit import COMPRESSED_FROM, compress, is_compressed, palette

PRECISIONS = tuple(COMPRESSED_FROM)
IMAGES = torch.randint(0, 256, (32, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def graph():
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, groups=64),
        nn.ReLU(),
        nn.Conv2d(64, 160, 1),
        nn.ReLU(),
        nn.MaxPool2d(5),
        nn.Flatten(),
    )
    head = nn.Sequential(nn.Linear(160, 400), nn.ELU(), nn.Linear(400, 8), nn.Softmax(dim=1))
    backbone[0].weight.data.div_(60)
    head[2].weight.data.mul_(20)
    return MixGraph(torch.full((1, 3, 1, 1), 118.0), backbone, head).eval().requires_grad_(False)


def layers(graph):
    return [module for module in graph.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def error(graph, other):
    pixels = IMAGES.permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return float((graph(pixels) - other(pixels)).square().mean())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_weight_is_one_that_the_precision_holds(graph, precision):
    few_bits = 0
    for layer in layers(compress(graph, IMAGES.numpy(), precision)):
        assert torch.equal(layer.bias, layer.bias.half().float())
        if not is_compressed(tuple(layer.weight.shape), precision):
            assert torch.equal(layer.weight, layer.weight.half().float())
        elif precision == "int8-weights":
            rows = layer.weight.flatten(1)
            whole = rows / (rows.abs().amax(dim=1, keepdim=True) / 127)
            torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)
            few_bits += 1
        else:
            assert len(layer.weight.unique()) <= 2 ** int(precision[-1])
            few_bits += 1
    assert few_bits == sum(is_compressed(tuple(layer.weight.shape), precision) for layer in layers(graph)) > 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_loses_less_than_rounding_each_weight_by_itself(graph, precision):
    plain = copy.deepcopy(graph)
    plain.load_state_dict({name: nearest(value, precision) for name, value in graph.state_dict().items()})
    assert error(graph, compress(graph, IMAGES.numpy(), precision)) < 0.5 * error(graph, plain)


def nearest(weight, precision):
    if weight.ndim < 2 or not is_compressed(tuple(weight.shape), precision):
        return weight.half().float()
    if precision == "int8-weights":
        scale = weight.flatten(1).abs().amax(dim=1).view(-1, *[1] * (weight.ndim - 1)) / 127
        return (weight / scale).round() * scale
    values = palette(weight, int(precision[-1]))
    return values[torch.bucketize(weight, (values[1:] + values[:-1]) / 2)]


def test_depthwise_and_small_weights_are_left_in_float16():
    assert not is_compressed((20_000, 1, 3, 3), "int8-weights")
    assert not is_compressed((99, 100, 1, 1), "int8-weights")
    assert is_compressed((100, 100, 1, 1), "int8-weights")
    assert is_compressed((400, 100), "palette6")


def test_a_palette_of_few_values_is_those_values():
    weight = torch.tensor([0.5, -0.25, 2.0]).repeat(1000)
    assert set(weight.tolist()) <= {round(value, 3) for value in palette(weight, 4).tolist()}


def test_a_palette_is_about_as_near_as_a_gaussian_allows():
    weight = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    values = palette(weight, 4)
    rounded = values[torch.bucketize(weight, (values[1:] + values[:-1]) / 2)]
    # Max 1960: 16 levels leave 0.009497 of the variance.
    assert float((rounded - weight).square().mean()) == pytest.approx(0.0095, rel=0.03)
