import copy
import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pmsi_export.graph.fold import ChannelScale, fold
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network.mixing import mix
from tests.conftest import randomise, small_config

BACKBONES = ("mobilenet_v2", "resnet18", "resnet34", "mobilenetv3_small_050")
REPARAMETERISED = ("mobileone_s0", "fastvit_t8", "repvit_m0_9")
MORE_BACKBONES = (*REPARAMETERISED, "mobilenetv3_large_100", "mobilenetv4_conv_small", "efficientnet_lite0")
IMAGES = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
WEIGHTS_IN_FLOAT32 = 1e-6
"""What rounding folded weights to float32 may change, relative to the largest logit; 3e-7 at most is measured."""
NO_NOISIER = 8
"""How many times the network's own float32 error the graph may have; 0.5 to 1.6 times, by the kernels, is measured."""


@pytest.fixture(scope="module", autouse=True)
def leave_out_what_is_there():
    """The rest of a session is not searched for garbage again and again."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def collect_garbage():
    """Traced graphs refer to themselves: uncollected, those of all these tests add up to 4 GB."""
    yield
    gc.collect()


def build(**overrides):
    config = small_config(**overrides)
    torch.manual_seed(0)
    return config, randomise(build_network(config, 7))


@torch.no_grad()
def assert_equal(network, graph, preprocessing, rule):
    """In double precision, where no processor's kernels show; and in float32 as near to that as the network itself."""
    exact = logits_in_double(network, preprocessing)
    own = network(normalise(IMAGES, preprocessing))
    *_, last = (module for module in graph.modules() if isinstance(module, nn.Linear))
    outputs = []
    last.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    in_float, in_double = graph(IMAGES.float()), copy.deepcopy(graph).double()(IMAGES.double())
    summed, noise = exact.sum(dim=1), own.sum(dim=1) - exact.sum(dim=1)
    assert (in_double - mix(exact, rule)).abs().max() <= WEIGHTS_IN_FLOAT32 * summed.abs().max().clamp_min(1)
    # A softmax changes by less than its logits do.
    assert (in_float - mix(exact, rule)).abs().max() <= NO_NOISIER * noise.abs().max()
    if rule == "logits":
        assert (outputs[1] - summed).abs().max() <= WEIGHTS_IN_FLOAT32 * summed.abs().max()
        assert (outputs[0] - summed).norm() <= NO_NOISIER * noise.norm()


@torch.no_grad()
def logits_in_double(network, preprocessing):
    mean, std = (
        torch.tensor(each, dtype=torch.double).view(3, 1, 1) for each in (preprocessing.mean, preprocessing.std)
    )
    return copy.deepcopy(network).double()((IMAGES.double() / 255 - mean) / std)


def layers_left(graph):
    return [type(module).__name__ for module in graph.modules() if isinstance(module, _BatchNorm | nn.Dropout)]


def convolutions(network):
    return sum(isinstance(module, nn.Conv2d) for module in network.modules())


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("heads", ["released", "separable", "lean"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_folded_network_gives_what_the_training_network_gives(backbone, heads, stages):
    config, network = build(model__backbone=backbone, model__heads=heads, model__stages=stages)
    for rule in ("logits", "probabilities"):
        graph = fold(network, config.preprocessing, rule)
        assert_equal(network, graph, config.preprocessing, rule)
        assert layers_left(graph) == []


@pytest.mark.parametrize("method", ["rmg-pmsi", "baseline"])
@pytest.mark.parametrize("backbone", MORE_BACKBONES)
def test_a_backbone_with_branches_or_gates_of_its_own_is_folded_to_plain_layers(backbone, method):
    config, network = build(model__backbone=backbone, method=method)
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []
    if backbone in REPARAMETERISED:
        assert convolutions(graph) < convolutions(network)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_folded_baseline_gives_what_the_baseline_gives(backbone):
    config, network = build(model__backbone=backbone, method="baseline")
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []


@pytest.mark.parametrize("method", ["pmg", "bcnn", "hbp", "pc", "api"])
def test_the_methods_that_the_paper_compares_with_are_folded_too(method):
    config, network = build(method=method)
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []


@pytest.mark.parametrize("parts", [{"model__gates": False}, {"model__progressive": False}])
def test_parts_of_the_method_are_folded_too(parts):
    config, network = build(**parts)
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []


@pytest.mark.parametrize("method", ["rmg-pmsi", "baseline"])
def test_a_backbone_without_its_last_convolution_is_folded_too(method):
    config, network = build(method=method, model__heads="lean", model__last_conv=False)
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []


def test_convolutions_with_the_padding_of_tensorflow_are_folded_too():
    config, network = build(model__backbone="tf_efficientnet_lite0")
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert layers_left(graph) == []
    assert not any(isinstance(module, ChannelScale) for module in graph.modules())
    convolutions = [module for module in graph.backbone.modules() if isinstance(module, nn.Conv2d)]
    assert {type(module) for module in convolutions} == {nn.Conv2d}
    assert all(module.bias is not None for module in convolutions)


class Halving(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight / 2, self.bias, self.stride, self.padding)


def test_a_backbone_that_does_not_begin_with_a_plain_convolution_is_folded_too():
    config, network = build(model__backbone="mobilenetv3_small_050")
    model = network.backbone.model
    stem = Halving(3, model.conv_stem.out_channels, 3, stride=2, padding=1, bias=False).to(model.conv_stem.weight)
    stem.load_state_dict(model.conv_stem.state_dict())
    model.conv_stem = stem
    graph = fold(network, config.preprocessing, "logits")
    assert_equal(network, graph, config.preprocessing, "logits")
    assert any(isinstance(module, ChannelScale) for module in graph.modules())


def test_borders_are_right_when_the_mean_is_far_from_zero():
    extreme = Preprocessing(resize=72, crop=64, mean=(3.0, -2.0, 0.9), std=(0.1, 0.5, 2.0))
    _, network = build()
    assert_equal(network, fold(network, extreme, "logits"), extreme, "logits")


@pytest.mark.parametrize(("width", "hidden", "layers"), [(32, 16, 2), (16, 32, 1)])
def test_the_interaction_takes_the_form_with_fewer_multiplications(width, hidden, layers):
    config, network = build(model__width=width, model__hidden=hidden)
    graph = fold(network, config.preprocessing, "logits")
    linear = [module for module in graph.head.mlp.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == layers
    assert_equal(network, graph, config.preprocessing, "logits")


def test_the_network_is_left_as_it_was():
    config, network = build(model__backbone="mobilenetv3_small_050")
    network.train()
    before = copy.deepcopy(network.state_dict())
    fold(network, config.preprocessing, "logits")
    assert network.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("rule", ["logits", "probabilities"])
def test_the_concat_classifier_alone_gives_what_the_training_networks_gives(rule):
    config, network = build()
    graph = fold(network, config.preprocessing, rule, head="concat")
    concat = logits_in_double(network, config.preprocessing)[:, -1]
    assert (graph.double()(IMAGES.double()) - concat.softmax(dim=1)).abs().max() <= WEIGHTS_IN_FLOAT32
    whole = fold(network, config.preprocessing, rule)
    assert count(graph) < count(whole)


@torch.no_grad()
def test_top_k_are_the_largest_probabilities_and_their_classes():
    config, network = build()
    whole = fold(network, config.preprocessing, "logits")(IMAGES.float())
    values, classes = fold(network, config.preprocessing, "logits", top_k=3)(IMAGES.float())
    assert torch.equal(values, whole.sort(dim=1, descending=True).values[:, :3])
    assert torch.equal(whole.gather(1, classes), values)


def count(graph):
    return sum(parameter.numel() for parameter in graph.parameters())
