"""Small networks that coremltools converts to the MIL operations that the evaluator knows.

`python -m tests.export.mil_cases FOLDER` writes them, in a process of its own: coremltools does not get on with
TensorFlow, which other tests import.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 8


class Case(NamedTuple):
    """forward: pixels scaled to -2..2, [1, 3, SIDE, SIDE], to anything. operations: of MIL that it must become."""

    forward: Callable[[Tensor], Tensor]
    operations: tuple[str, ...]


class Network(nn.Module):
    """Raw pixels to a row of numbers, which Core ML is told are probabilities."""

    def __init__(self, forward: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = forward

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(image / 64 - 2).flatten(1)


def _cases() -> dict[str, Case]:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).eval()
    norm.running_mean, norm.running_var = torch.randn(3), torch.rand(3) + 0.5
    layer_norm = nn.LayerNorm(SIDE)
    layer_norm.weight.data, layer_norm.bias.data = torch.randn(SIDE), torch.randn(SIDE)
    matrix, row = torch.randn(SIDE, 5), torch.randn(1, 3, SIDE, 1)
    return {
        "conv": Case(nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), ("conv", "sub")),
        "depthwise": Case(nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), ("conv",)),
        "max_pool": Case(nn.MaxPool2d(3, 2, 1), ("max_pool",)),
        "avg_pool": Case(nn.AvgPool2d(3, 2, 1), ("avg_pool",)),
        "avg_pool_without_padding": Case(nn.AvgPool2d(3, 2, 1, count_include_pad=False), ("avg_pool",)),
        "linear": Case(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 7)), ("linear",)),
        "matmul": Case(lambda x: (x @ matrix).transpose(2, 3) @ x, ("matmul",)),
        "batch_norm": Case(nn.Sequential(nn.ReLU(), norm), ("batch_norm", "relu")),
        "layer_norm": Case(layer_norm, ("layer_norm",)),
        "clip": Case(nn.ReLU6(), ("clip",)),
        "relu6": Case(F.relu6, ("relu6",)),
        "leaky_relu": Case(nn.LeakyReLU(0.1), ("leaky_relu",)),
        "elu": Case(nn.ELU(0.7), ("elu",)),
        "hard_swish": Case(nn.Hardswish(), ("thresholded_relu", "sigmoid_hard", "mul")),
        "silu": Case(nn.SiLU(), ("silu",)),
        "gelu": Case(lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"), ("gelu", "add")),
        "curves": Case(lambda x: x.sigmoid() - x.tanh() + x.exp(), ("sigmoid", "tanh", "exp", "sub")),
        "roots": Case(lambda x: x * x.abs().clamp_min(2**-14).rsqrt(), ("abs", "rsqrt")),
        "softmax": Case(lambda x: x.softmax(1), ("softmax",)),
        "quotient": Case(lambda x: x / (x * x + 1), ("real_div",)),
        "extremes": Case(lambda x: torch.maximum(x, row) + torch.minimum(x, -row), ("maximum", "minimum")),
        "reductions": Case(
            lambda x: x.mean((2, 3)) + x.sum(3).amax(2) - x.amax((2, 3)), ("reduce_mean", "reduce_sum", "reduce_max")
        ),
        "concat": Case(lambda x: torch.cat([x, -x, x * 2], 1), ("concat",)),
        "shapes": Case(
            lambda x: (x.permute(0, 2, 3, 1).reshape(1, 4, -1).unsqueeze(1) * 2).squeeze(1).softmax(2),
            ("transpose", "reshape", "expand_dims", "squeeze"),
        ),
    }


CASES = _cases()
UNKNOWN = Network(lambda x: x.cumsum(2))


class Compressible(nn.Module):
    """Convolutions of two sizes that end in probabilities."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 48, 1), nn.ReLU(), nn.Flatten(), nn.Linear(432, 5)
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image / 64 - 2).softmax(1)


def main(folder: Path) -> None:
    from pmsi_export.formats.coreml.tools import import_coremltools

    ct = import_coremltools()
    import coremltools.optimize.coreml as compression

    warnings.simplefilter("ignore")

    def convert(network: nn.Module, target: object = ct.target.iOS15, half: bool = False) -> object:
        image = torch.zeros(1, 3, SIDE, SIDE)
        with torch.no_grad():
            traced, outputs = torch.jit.trace(network.eval(), image), network(image).numel()
            return ct.convert(
                traced,
                inputs=[ct.ImageType(name="image", shape=image.shape, color_layout=ct.colorlayout.RGB)],
                classifier_config=ct.ClassifierConfig([f"class {number}" for number in range(outputs)]),
                minimum_deployment_target=target,
                compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
                skip_model_load=True,
            )

    for name, case in CASES.items():
        convert(Network(case.forward)).save(folder / f"{name}.mlpackage")
    convert(UNKNOWN).save(folder / "unknown.mlpackage")
    convert(Compressible(), half=True).save(folder / "half.mlpackage")

    def options(operation: object) -> object:
        return compression.OptimizationConfig(global_config=operation)

    linear = options(compression.OpLinearQuantizerConfig(weight_threshold=0))
    skewed = options(compression.OpLinearQuantizerConfig(mode="linear", weight_threshold=0))
    palette = options(compression.OpPalettizerConfig(mode="uniform", nbits=6, weight_threshold=500))
    groups = options(
        compression.OpPalettizerConfig(
            mode="uniform", nbits=4, weight_threshold=500, granularity="per_grouped_channel", group_size=16
        )
    )
    for name, target, compress, config in (
        ("affine16", ct.target.iOS16, compression.linear_quantize_weights, linear),
        ("skewed16", ct.target.iOS16, compression.linear_quantize_weights, skewed),
        ("palette16", ct.target.iOS16, compression.palettize_weights, palette),
        ("affine18", ct.target.iOS18, compression.linear_quantize_weights, linear),
        ("skewed18", ct.target.iOS18, compression.linear_quantize_weights, skewed),
        ("groups18", ct.target.iOS18, compression.palettize_weights, groups),
    ):
        compressed = compress(convert(Compressible(), target), config)
        compressed.save(folder / f"{name}.mlpackage")
        compression.decompress_weights(compressed).save(folder / f"{name}-decompressed.mlpackage")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
