"""int8 weights whose products fit in 16 bits two by two, as x86 without VNNI adds them."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pmsi_export.formats.onnx.int8 import _range_of_grid, overrides
from pmsi_export.formats.onnx.pair_sums import LIMIT, overflows, pair_sums
from pmsi_export.weights.int8 import _partners, quantise
from pmsi_export.weights.rounding import PAIR_SUM, round_weight
from tests.export.test_quantise import SMALLEST, noise, sqnr, weights

IN_TWOS = [1, 0, 3, 2, 5, 4]


def channels_first_and_last(columns: int) -> list[torch.Tensor]:
    """Both orders of a row of `columns` weights: of 3 x 3 kernels where it can be cut in such."""
    order = torch.arange(columns)
    other = order.view(-1, 9).t().flatten() if columns % 9 == 0 else order
    return [_partners(order), _partners(other)]


def test_neighbours_are_taken_two_by_two():
    assert _partners(torch.arange(6)).tolist() == IN_TWOS
    assert _partners(torch.arange(7)).tolist() == [*IN_TWOS, 6]
    # Channels last of 2 channels with 3 positions each: 0 3 | 1 4 | 2 5.
    assert _partners(torch.tensor([0, 3, 1, 4, 2, 5])).tolist() == [3, 4, 5, 0, 1, 2]


@given(weights())
@settings(deadline=None, max_examples=40)
def test_no_two_neighbours_overflow_and_onnx_finds_their_grid(drawn):
    weight, covariance = drawn
    partners = channels_first_and_last(weight.shape[2])
    rounded = round_weight(weight, covariance, SMALLEST, partners)
    for row in rounded.flatten(0, 1).numpy():
        step = _range_of_grid(row) / 127
        exact = row.astype(np.float64) / step
        whole = exact.round()
        assert np.allclose(exact, whole, atol=1e-3)
        assert np.abs(whole).max() <= 127
        for partner in partners:
            beside = whole[partner.numpy()]
            pairs = (partner.numpy() != np.arange(len(row))) & (whole * beside > 0)
            assert np.abs(whole + beside)[pairs].max(initial=0) <= LIMIT


def test_the_bound_costs_little():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(1, 32, 64, generator=generator)
    inputs = torch.randn(1, 64, 1000, generator=generator).abs()
    covariance = inputs @ inputs.transpose(1, 2) / 1000
    exact = weight @ inputs
    free = sqnr(exact, round_weight(weight, covariance, SMALLEST) @ inputs)
    bounded = sqnr(exact, round_weight(weight, covariance, SMALLEST, [_partners(torch.arange(64))]) @ inputs)
    seven_bits = weight.abs().amax(dim=2, keepdim=True) / 64
    assert bounded > free - 3
    assert bounded > sqnr(exact, (weight / seven_bits).round() * seven_bits @ inputs) + 3


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1),
            nn.ReLU6(),
            nn.Conv2d(16, 16, 3, 1, 1, groups=16),
            nn.ReLU6(),
            nn.Conv2d(16, 24, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(24, 5),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image / 64 - 2)


def test_every_layer_but_the_depthwise_ones_is_bounded():
    torch.manual_seed(0)
    graph = Layers().requires_grad_(False).eval()

    def largest(quantised: nn.Module) -> dict[str, float]:
        found = {}
        for name, layer in quantised.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                rows = layer.weight.flatten(1).numpy()
                whole = np.stack([row / (_range_of_grid(row) / 127) for row in rows]).round()
                even = whole[:, : whole.shape[1] // 2 * 2].reshape(len(whole), -1, 2)
                found[name] = np.abs(np.where(np.prod(even, axis=2) > 0, even.sum(axis=2), 0)).max()
        return found

    free, bounded = largest(quantise(graph, noise(32))), largest(quantise(graph, noise(32), paired_sums=True))
    assert max(free[name] for name in ("layers.0", "layers.4", "layers.7")) > PAIR_SUM
    assert max(bounded[name] for name in ("layers.0", "layers.4", "layers.7")) <= PAIR_SUM
    assert bounded["layers.2"] == free["layers.2"]


def model_with(weight: np.ndarray, operator: str, **attributes: int) -> onnx.ModelProto:
    """One layer with int8 weights behind a DequantizeLinear."""
    shape = [1, weight.shape[1] * attributes.get("group", 1), 4, 4] if operator == "Conv" else [1, weight.shape[0]]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "scale"], ["dequantised"]),
        helper.make_node(operator, ["x", "dequantised"], ["y"], **attributes),
    ]
    tensors = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.float32(1), "scale")]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    return helper.make_model(helper.make_graph(nodes, "graph", given, [onnx.ValueInfoProto(name="y")], tensors))


@pytest.mark.parametrize(
    ("shape", "where", "operator", "attributes", "largest"),
    [
        ((2, 4, 1, 1), [(0, 0, 0, 0), (0, 1, 0, 0)], "Conv", {}, 200),
        ((2, 4, 1, 1), [(0, 1, 0, 0), (0, 2, 0, 0)], "Conv", {}, 100),
        ((2, 2, 3, 3), [(1, 0, 0, 0), (1, 0, 0, 1)], "Conv", {}, 200),
        ((2, 2, 3, 3), [(1, 0, 2, 2), (1, 1, 2, 2)], "Conv", {}, 200),
        ((4, 1, 3, 3), [(1, 0, 0, 0), (1, 0, 0, 1)], "Conv", {"group": 4}, None),
        ((4, 3), [(0, 1), (1, 1)], "MatMul", {}, 200),
        ((4, 3), [(1, 1), (1, 0)], "MatMul", {}, 100),
    ],
)
def test_the_sums_of_a_file_are_found_wherever_kernels_add(tmp_path, shape, where, operator, attributes, largest):
    weight = np.zeros(shape, np.int8)
    for index in where:
        weight[index] = -100
    onnx.save(model_with(weight, operator, **attributes), str(tmp_path / "model.onnx"))
    assert pair_sums(tmp_path / "model.onnx").get("w") == largest
    told = overflows(tmp_path / "model.onnx")
    assert (told is not None) == (largest == 200)
    assert told is None or "w add up to 200, 128 is the most that is safe" in told


def test_a_channel_on_no_grid_keeps_its_own_range():
    values = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    assert _range_of_grid(values[0]) == np.abs(values[0]).max()
    assert _range_of_grid(np.zeros(4, np.float32)) > 0
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 50])],
            [onnx.ValueInfoProto(name="y")],
            [numpy_helper.from_array(values, "w")],
        )
    )
    (given,) = overrides(model).values()
    assert [each["axis"] for each in given] == [0, 0]
