import copy
import math
import warnings

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from pmsi_export.graph.fold import fold
from pmsi_export.weights.equalise import equalise
from pmsi_export.weights.int8 import _ratio, diagnose, quantise
from pmsi_export.weights.layerwise import Program
from pmsi_export.weights.rounding import round_weight
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.files import list_images
from pmsi_mobile.data.images import load_rgb
from pmsi_mobile.data.transforms import eval_transform, normalise
from pmsi_mobile.methods.registry import build_network
from tests.conftest import small_config
from tests.export.conftest import draw_picture, enliven

SMALLEST = 1e-6


def noise(count: int, side: int = 32) -> np.ndarray:
    """Pixels from 0 to 255, as int8 holds them without loss."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    return images


def as_input(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def sqnr(exact: Tensor, other: Tensor) -> float:
    return float(10 * torch.log10(exact.square().sum() / (exact - other).square().sum()))


def rounded_plainly(graph: nn.Module) -> nn.Module:
    plain = copy.deepcopy(graph)
    for layer in plain.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            scale = layer.weight.flatten(1).abs().amax(dim=1).clamp_min(1e-9) / 127
            scale = scale.view(-1, *[1] * (layer.weight.dim() - 1))
            layer.weight.data = (layer.weight / scale).round() * scale
    return plain


@st.composite
def weights(draw) -> tuple[Tensor, Tensor]:
    """A weight [G, R, K], some of it dead, and a covariance [G, K, K]."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    groups, rows, columns = draw(st.sampled_from([(1, 5, 70), (6, 1, 9), (2, 3, 12)]))
    magnitude = 10 ** draw(st.floats(-4, 1))
    weight = torch.randn(groups, rows, columns, generator=generator) * magnitude
    weight[0, 0] *= draw(st.sampled_from([1.0, 1e-18, 0.0]))
    inputs = torch.randn(groups, columns, draw(st.integers(2, 100)), generator=generator)
    inputs = inputs @ torch.randn(inputs.shape[2], 50, generator=generator)
    return weight, inputs @ inputs.transpose(1, 2) / 50


@given(weights())
@settings(deadline=None, max_examples=40)
def test_rounded_weights_are_on_a_grid_that_uses_all_of_int8(drawn):
    weight, covariance = drawn
    rounded = round_weight(weight, covariance, SMALLEST).double()
    scale = rounded.abs().amax(dim=2, keepdim=True) / 127
    whole = rounded / scale
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    assert (scale[..., 0] >= SMALLEST * 0.9999).all()


@given(weights())
@settings(deadline=None, max_examples=20)
def test_every_formats_quantiser_finds_the_same_integers(drawn):
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as tflite
    from onnxruntime.quantization import quant_utils as onnx
    from torchao.quantization.pt2e import PerChannelMinMaxObserver

    weight, covariance = drawn
    rounded = round_weight(weight, covariance, SMALLEST).flatten(0, 1)
    wanted = (rounded / (rounded.abs().amax(dim=1, keepdim=True) / 127)).round().numpy()

    array = rounded.numpy()
    low, high = array.min(axis=1, keepdims=True), array.max(axis=1, keepdims=True)
    channelwise = qtyping.QuantGranularity.CHANNELWISE
    zero, scale = tflite.tensor_zp_scale_from_min_max(low, high, 8, True, channelwise)
    found = tflite.uniform_quantize(array, qtyping.UniformQuantParams(8, 0, scale, zero, symmetric=True))
    assert (found == wanted).all()

    for row, wanted_row in zip(array, wanted, strict=True):
        zero, scale = onnx.compute_scale_zp(row.min(), row.max(), np.int8(-127), np.int8(127), symmetric=True)
        found = onnx.quantize_nparray(onnx.onnx_proto.TensorProto.INT8, row, scale, zero, -127, 127)
        assert (found == wanted_row).all()

    observer = PerChannelMinMaxObserver(
        ch_axis=0, dtype=torch.int8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127, eps=1e-12
    )
    observer(rounded)
    scale, zero = observer.calculate_qparams()
    assert (zero == 0).all()
    assert ((rounded / scale[:, None]).round().numpy() == wanted).all()


def test_rounding_minds_the_inputs():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 16, 64, generator=generator)
    inputs = torch.randn(1, 64, 8, generator=generator) @ torch.randn(1, 8, 1000, generator=generator)
    covariance = inputs @ inputs.transpose(1, 2) / 1000
    scale = weight.abs().amax(dim=2, keepdim=True) / 127
    exact = weight @ inputs
    nearest = sqnr(exact, (weight / scale).round() * scale @ inputs)
    assert sqnr(exact, round_weight(weight, covariance, SMALLEST) @ inputs) > nearest + 6


def test_the_mean_of_every_channel_stays():
    torch.manual_seed(0)
    graph = nn.Conv2d(3, 8, 3, padding=1).requires_grad_(False).eval()
    images = noise(64)

    def means(layer: nn.Module) -> Tensor:
        return layer(as_input(images)).mean(dim=(0, 2, 3))

    assert torch.allclose(means(quantise(graph, images)), means(graph), atol=2e-4)
    assert (means(rounded_plainly(graph)) - means(graph)).abs().max() > 0.02


def test_a_layer_of_zeros_has_no_signal_and_stops_nothing():
    zeros, noise = torch.zeros(3), torch.full((3,), 1e-9)
    assert _ratio([zeros], [noise]) == -math.inf
    assert _ratio([zeros], [zeros]) == math.inf


def test_a_dead_channel_keeps_its_bias_and_fits_int32():
    torch.manual_seed(0)
    graph = nn.Conv2d(3, 8, 3).requires_grad_(False).eval()
    graph.weight[0], graph.weight[1] = 1e-20, 0
    graph.bias[:2] = torch.tensor([30.0, -30.0])
    images = noise(16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantised = quantise(graph, images)
    outputs = quantised(as_input(images))
    assert torch.allclose(outputs[:, :2], graph(as_input(images))[:, :2], atol=outputs.abs().max().item() / 255 / 4)
    scale = quantised.weight.flatten(1).abs().amax(dim=1) / 127
    # Pixels have the scale 1.
    assert (quantised.bias / scale).abs().max() < 2**30


class Bottleneck(nn.Module):
    """As in MobileNetV2, with channels of very different ranges."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.expand = nn.Conv2d(8, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.project = nn.Conv2d(16, 8, 1)
        self.smooth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.linear = nn.Linear(8, 4)
        for layer in (self.first, self.project):
            layer.weight.data *= torch.logspace(-2, 0, 8).view(-1, 1, 1, 1)
            layer.bias.data.zero_()

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image / 255)
        x = x + self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        x = F.relu(self.smooth(x))
        return self.linear(F.max_pool2d(x, [int(side) for side in x.shape[-2:]]).flatten(1))


def test_equalising_changes_ranges_and_not_what_is_computed():
    torch.manual_seed(0)
    graph = Bottleneck().requires_grad_(False).eval()
    program = Program(graph, noise(16))

    def values() -> dict[str, Tensor]:
        seen = {}

        def watch(node, chunks):
            seen[node.name] = torch.cat(chunks[0])
            return chunks

        program.run([program.photos], after=watch)
        return seen

    before = values()
    equalise(program)
    after = values()
    assert torch.allclose(after["linear"], before["linear"], rtol=1e-4, atol=1e-5)

    def spread(x: Tensor) -> float:
        ranges = x.transpose(0, 1).flatten(1).abs().amax(dim=1)
        return float(ranges.max() / ranges.min())

    assert spread(before["add"]) > 10
    assert spread(after["add"]) < 6
    assert torch.allclose(after["relu6"], before["relu6"], atol=1e-5)


def small_graph(checkpoint) -> nn.Module:
    loaded = load_checkpoint(checkpoint)
    return fold(loaded.network(), loaded.config.preprocessing, "logits")


def drawn_images(count: int) -> np.ndarray:
    config = small_config()
    pictures = [eval_transform(draw_picture(number), config.preprocessing) for number in range(count)]
    return torch.stack(pictures).permute(0, 2, 3, 1).numpy()


def test_a_quantised_checkpoint_is_nearer_than_a_plainly_rounded_one(checkpoint):
    graph, images = small_graph(checkpoint), drawn_images(64)
    quantised = quantise(graph, images[:48])
    held_out = as_input(images[48:])
    exact = graph(held_out)
    assert sqnr(exact, quantised(held_out)) > sqnr(exact, rounded_plainly(graph)(held_out)) + 3
    assert quantised.state_dict().keys() == graph.state_dict().keys()


def test_the_diagnosis_names_every_layer_with_what_it_loses(checkpoint):
    graph = small_graph(checkpoint)
    losses = diagnose(graph, drawn_images(16))
    layers = [name for name, module in graph.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert [loss.name for loss in losses] == layers
    assert all(20 < loss.weight < 80 and 0 < loss.output < 80 for loss in losses)


def test_real_photos_keep_their_predictions(shared):
    """ImageNet's MobileNetV2, dead channels included."""
    backbone = shared / "weights" / "mobilenet_v2_features.safetensors"
    config = small_config(model__weights=str(backbone), preprocessing__resize=96, preprocessing__crop=96)
    paths = list_images(shared / "data" / "grocery" / "val")[::4]
    photos = torch.stack([eval_transform(load_rgb(path), config.preprocessing) for path in paths])
    torch.manual_seed(0)
    network = build_network(config, 5).eval()
    enliven(network, normalise(photos, config.preprocessing))
    graph = fold(network, config.preprocessing, "logits")
    images = photos.permute(0, 2, 3, 1).numpy()
    held_out = photos[48:].float()
    exact = graph(held_out)
    assert sqnr(exact, quantise(graph, images[:48])(held_out)) > sqnr(exact, rounded_plainly(graph)(held_out)) + 8
