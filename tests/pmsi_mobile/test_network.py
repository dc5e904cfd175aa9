import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from pmsi_mobile.config import load_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.methods.registry import build_network, phases
from pmsi_mobile.network.mixing import mix


def build(**overrides):
    values = {"model.weights": "none", "model.width": 16, "model.hidden": 8}
    config = load_config("paper", {**values, **{key.replace("__", "."): value for key, value in overrides.items()}})
    return config, build_network(config, 5)


def test_the_network_of_the_paper_has_the_parameters_that_the_method_counts():
    network = build_network(load_config("paper", {"model.weights": "none"}), 200)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(10.5e6, rel=0.01)


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        ("mobilenet_v2", (32, 24, 32, 96, 1280)),
        ("resnet18", (64, 64, 128, 256, 512)),
        ("resnet34", (64, 64, 128, 256, 512)),
        ("mobilenetv3_small_050", (16, 8, 16, 24, 288)),
    ],
)
def test_stages_halve_the_image_and_have_the_channels_of_the_method(backbone, channels):
    _, network = build(model__backbone=backbone, model__stages=5)
    with torch.no_grad():
        maps = network.eval().backbone(torch.rand(1, 3, 64, 64))
    assert tuple(x.shape[1] for x in maps) == channels == tuple(network.backbone.channels)
    first = 16 if backbone.startswith("resnet") else 32
    assert maps[0].shape[-1] == first
    assert maps[-1].shape[-1] == 2


@pytest.mark.parametrize("stages", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("heads", ["released", "separable", "lean"])
def test_every_head_gives_logits_and_a_phase_gives_its_own(stages, heads):
    _, network = build(model__stages=stages, model__heads=heads)
    network.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        logits = network(images)
        assert logits.shape == (2, stages + 1, 5)
        for phase in range(stages + 1):
            assert torch.allclose(network(images, phase=phase), logits[:, phase], atol=1e-6)
    assert network.head_names == (*[f"S{n}" for n in range(6 - stages, 6)], "concat")


def test_without_its_last_convolution_the_backbone_ends_in_320_channels_with_the_same_weights(shared):
    file = str(shared / "weights" / "mobilenet_v2_features.safetensors")
    (_, whole), (_, cut) = (build(model__weights=file, model__last_conv=kept) for kept in (True, False))
    assert cut.backbone.channels == (32, 96, 320)
    state = whole.backbone.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in cut.backbone.state_dict().items())
    _, plain = build(method="baseline", model__last_conv=False)
    assert plain.classifier[1].in_features == 320


def test_lean_heads_cost_what_the_last_convolution_does():
    lean = {"model.heads": "lean", "model.last_conv": False, "model.width": 256, "model.hidden": 160}
    costs = {}
    for name, overrides in {
        "plain": {"method": "baseline"},
        "lean": lean,
        "separable": {"model.heads": "separable"},
    }.items():
        config = load_config("paper", {"model.weights": "none", **overrides})
        network = build_network(config, 200).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 448, 448))
        costs[name] = counter.get_total_flops() / 2
    assert costs["lean"] / costs["plain"] == pytest.approx(1.05, abs=0.02)
    assert costs["separable"] / costs["plain"] == pytest.approx(1.23, abs=0.02)


def test_gates_interact_as_in_equations_1_to_3():
    _, network = build(model__stages=2)
    network.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        pooled = [smooth(x).amax((2, 3)) for smooth, x in zip(network.smooth, network.backbone(images), strict=True)]
        mutual = network.mlp[2](network.mlp[0](torch.cat(pooled, 1)))
        expected = [x + torch.sigmoid(mutual * x) * x for x in pooled]
        for got, wanted in zip(network.features(images), expected, strict=True):
            assert torch.allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("phase", [0, 1, 2, 3])
def test_a_phase_reaches_every_stage_and_only_its_own_classifier(phase):
    _, network = build()
    torch.manual_seed(0)
    loss = F.cross_entropy(network.train()(torch.rand(4, 3, 64, 64), phase=phase), torch.tensor([0, 1, 2, 3]))
    loss.backward()

    def reached(module):
        """Per weight matrix: what is normalised right after has a bias whose gradient is 0 but for rounding."""
        matrices = [p for p in module.parameters() if p.ndim > 1]
        assert matrices
        return [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in matrices]

    for module in (*network.backbone.stages, *network.smooth, network.mlp):
        assert all(reached(module))
    for index, head in enumerate(network.classifiers):
        assert all(reached(head)) if index == phase else not any(reached(head))


def test_without_gates_the_features_stay_as_they_are():
    _, network = build(model__stages=2, model__gates=False)
    network.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        pooled = [smooth(x).amax((2, 3)) for smooth, x in zip(network.smooth, network.backbone(images), strict=True)]
        assert all(torch.equal(a, b) for a, b in zip(network.features(images), pooled, strict=True))
    assert not any("mlp" in name for name in network.state_dict())


def test_without_phases_the_concat_classifier_is_all_that_is_trained():
    config, network = build(model__progressive=False)
    assert network.head_names == ("concat",)
    assert phases(config, network.head_names) == (("concat", 0, 1.0),)
    logits = network.train()(torch.rand(4, 3, 64, 64), phase=0)
    assert logits.shape == (4, 5)
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("stages", "recursions"),
    [(1, [1, 0]), (2, [2, 1, 0]), (3, [3, 2, 1, 0]), (4, [3, 3, 2, 1, 0]), (5, [3, 3, 3, 2, 1, 0])],
)
def test_phases_follow_algorithm_1_with_r_clamped_to_3(stages, recursions):
    config, network = build(model__stages=stages, train__concat_weight=2.0)
    plan = phases(config, network.head_names)
    assert [phase.recursions for phase in plan] == recursions
    assert [phase.loss_weight for phase in plan] == [1.0] * stages + [2.0]
    assert [phase.head for phase in plan] == list(network.head_names)


def test_no_mosaic_trains_every_phase_on_the_original():
    config, network = build(mosaic__max_recursion=0)
    assert [phase.recursions for phase in phases(config, network.head_names)] == [0, 0, 0, 0]


def test_the_baseline_is_one_classifier_trained_in_one_phase():
    config, network = build(method="baseline", train__concat_weight=2.0)
    assert network.head_names == ("baseline",)
    assert phases(config, network.head_names) == (("baseline", 0, 1.0),)
    assert network.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 1, 5)
    assert network(torch.rand(2, 3, 64, 64), phase=0).shape == (2, 5)


def test_mix_sums_logits_or_probabilities():
    logits = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 1.5, 0.0]]])
    assert torch.allclose(mix(logits, "logits"), torch.tensor([4.0, 3.0, 0.0]).softmax(0)[None])
    assert torch.allclose(mix(logits, "probabilities"), logits.softmax(-1).mean(1))
    assert mix(logits, "logits").argmax() == 0


def test_weights_from_a_file_initialise_the_backbone(shared):
    from safetensors.torch import load_file

    file = shared / "weights" / "mobilenet_v2_features.safetensors"
    _, network = build(model__weights=str(file))
    state = load_file(file)
    assert torch.equal(network.backbone.stages[0][0][0].weight, state["features.0.0.weight"])
    assert torch.equal(network.backbone.stages[4][4][1].running_var, state["features.18.1.running_var"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model__backbone": "mobilenet_v9"}, "unknown backbone"),
        ({"model__backbone": "convnext_atto", "model__stages": 5}, "has 4 stages"),
        ({"model__backbone": "resnet18", "model__last_conv": False}, "last_conv=false is for mobilenet_v2"),
    ],
)
def test_a_backbone_that_cannot_be_built_is_one_line(overrides, message):
    with pytest.raises(PmsiError, match=message):
        build(**overrides)
