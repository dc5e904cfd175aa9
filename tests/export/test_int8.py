"""int8 files of one checkpoint, through the command line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pmsi_export.formats.executorch.int8 import to_int8
from pmsi_export.formats.onnx.int8 import _range_of_grid
from pmsi_export.formats.onnx.pair_sums import overflows
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import get_format
from pmsi_export.graph.fold import ProjectedProducts
from pmsi_export.graph.variant import Variant
from pmsi_export.jobs.exporter import _check_mix, prepare_int8
from pmsi_export.jobs.job import Job
from pmsi_export.weights.int8 import quantise
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.files import list_images
from pmsi_mobile.errors import PmsiError
from tests.conftest import make_checkpoint, small_config
from tests.export.conftest import make_checkpoint as make_random_checkpoint
from tests.export.conftest import run_command
from tests.export.test_quantise import Bottleneck, noise, sqnr

FORMATS = ("tflite", "onnx")


class Int8(NamedTuple):
    rows: dict[str, dict[str, object]]

    def file(self, name: str) -> Path:
        return Path(str(self.rows[name]["file"]))


def export_int8(checkpoint: Path, pictures: Path, folder: Path) -> Int8:
    formats = [argument for name in FORMATS for argument in ("--format", name)]
    # Unverified, for a random network is too sensitive: its answers change with any rounding.
    arguments = ["--precision", "int8", "--calibration", pictures, "--output", folder, "--no-verify", "--json"]
    result = run_command("pmsi-export", checkpoint, *formats, *arguments)
    assert result.status == 0, result.stderr
    return Int8({row["format"]: row for row in json.loads(result.stdout)})


@pytest.fixture(scope="module")
def int8(checkpoint, pictures, tmp_path_factory) -> Int8:
    return export_int8(checkpoint, pictures, tmp_path_factory.mktemp("int8"))


@pytest.mark.parametrize("name", FORMATS)
def test_the_file_takes_bytes(int8, name):
    contract = read_contract(int8.file(name))
    assert contract.precision == "int8"
    assert contract.input.dtype == "uint8"
    image = np.full((64, 64, 3), 200, np.uint8)
    runner = load_file(int8.file(name))
    assert "uint8" in str(runner.prepare(image).dtype)
    assert runner.predict(image).sum() == pytest.approx(1, abs=1e-4)


def tflite_weights(path: Path) -> list[np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    tensors = [detail for detail in interpreter.get_tensor_details() if detail["dtype"] == np.int8]
    constant = [detail for detail in tensors if detail["quantization_parameters"]["scales"].size > 1]
    return [interpreter.get_tensor(detail["index"]) for detail in constant]


def onnx_weights(path: Path) -> list[np.ndarray]:
    import onnx

    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]


def as_multisets(weights: list[np.ndarray]) -> set[bytes]:
    """Without regard to the layout, in which the formats differ."""
    return {np.sort(weight, axis=None).tobytes() for weight in weights}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_holds_the_integers_that_the_rounding_chose(int8, name, checkpoint, pictures, tmp_path):
    found = onnx_weights(int8.file(name)) if name == "onnx" else tflite_weights(int8.file(name))
    paired_sums = get_format(name).paired_sums
    prepare_int8(checkpoint, Variant(), list_images(pictures), tmp_path / "own.pt", paired_sums=paired_sums)
    prepared = torch.load(tmp_path / "own.pt", weights_only=True)["weights"].values()
    rounded = [weight.numpy() for weight in prepared if weight.dim() in (2, 4) and len(weight) > 1]
    wanted = [np.stack([row / (_range_of_grid(row) / 127) for row in weight]).round() for weight in rounded]
    assert len(found) == 65
    assert as_multisets(found) <= as_multisets([each.astype(np.int8) for each in wanted])


def test_no_sum_of_the_onnx_file_overflows_where_the_tflite_files_may(int8):
    assert overflows(int8.file("onnx")) is None
    assert as_multisets(onnx_weights(int8.file("onnx"))) != as_multisets(tflite_weights(int8.file("tflite")))


def test_only_the_softmax_of_the_tflite_file_is_float(int8):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(int8.file("tflite")))
    interpreter.allocate_tensors()
    floats = [detail["name"] for detail in interpreter.get_tensor_details() if detail["dtype"] == np.float32]
    # The logits made float again, and the probabilities.
    assert len(floats) == 2
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)


class WithProducts(nn.Module):
    """HBP's tail on three maps of a photo."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps = nn.ModuleList(nn.Conv2d(3, channels, 8, stride=8) for channels in (8, 8, 16))
        self.pooling = ProjectedProducts(nn.ModuleList(nn.Conv2d(channels, 32, 1) for channels in (8, 8, 16)))
        self.linear = nn.Linear(96, 10)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(self.pooling([each(image / 255) for each in self.maps])).softmax(dim=1)


@pytest.mark.parametrize("network", [Bottleneck, WithProducts])
def test_executorch_computes_with_integers_what_the_graph_computes(network):
    graph = network().requires_grad_(False).eval()
    images = noise(16)
    quantised = to_int8(quantise(graph, images), images)
    inputs = [torch.from_numpy(image).permute(2, 0, 1)[None] for image in images]
    exact, own = (
        torch.cat([run(image) for image in inputs]) for run in (lambda image: graph(image.float()), quantised)
    )
    assert sqnr(exact, own) > 30


@pytest.fixture(scope="module")
def products(pictures, tmp_path_factory) -> Int8:
    """HBP's files."""
    folder = tmp_path_factory.mktemp("products")
    checkpoint = make_random_checkpoint(folder / "ckpt.pt", method="hbp", model__projection=24)
    return export_int8(checkpoint, pictures, folder)


def test_products_of_maps_are_float_in_the_int8_tflite_file(products):
    """A product's range is the square of its factors': rounded, they cost ten decibels and more."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(products.file("tflite")))
    interpreter.allocate_tensors()
    of_size = {kind: [] for kind in (np.int8, np.float32)}
    for detail in interpreter.get_tensor_details():
        if detail["shape"].tolist() in ([1, 2, 2, 24], [1, 3, 24], [1, 72]):
            of_size[detail["dtype"]].append(detail["shape"].tolist())
    # The three projections, and what the last layer takes.
    assert sorted(of_size[np.int8]) == [[1, 2, 2, 24]] * 3 + [[1, 72]]
    assert of_size[np.float32].count([1, 2, 2, 24]) == 6


def test_products_of_maps_are_float_in_the_int8_onnx_file(products):
    import onnx

    graph = onnx.load(products.file("onnx")).graph
    producers = {output: node for node in graph.node for output in node.output}
    rounded = [producers[node.input[0]].op_type for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {"Mul", "AveragePool", "Abs", "Sqrt", "Reciprocal", "ReduceSum", "Concat"}.isdisjoint(rounded)
    assert {"Conv", "Reshape"} <= set(rounded)


def test_without_photos_to_calibrate_on_int8_is_refused(checkpoint, tmp_path):
    result = run_command("pmsi-export", checkpoint, "--precision", "int8", "--output", tmp_path)
    assert result.status == 2
    assert "pass --calibration DIR" in result.stderr


def test_a_calibration_photo_that_cannot_be_read_is_named(checkpoint, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cut.jpg").write_bytes(b"no photo")
    done = run_command(
        "pmsi-export",
        checkpoint,
        "--format",
        "onnx",
        "--precision",
        "int8",
        "--calibration",
        photos,
        "--output",
        tmp_path,
    )
    assert done.status == 1
    assert f"{photos / 'cut.jpg'} cannot be read (" in done.stderr


def test_probabilities_that_are_averaged_are_not_rounded(tmp_path):
    config = small_config(model__mix="probabilities")
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    loaded = load_checkpoint(make_checkpoint(tmp_path / "ckpt.pt", config, ("a", "b"), images))
    job = Job(tmp_path / "ckpt.pt", "onnx", "int8", tmp_path, "ckpt")
    with pytest.raises(PmsiError, match=r"model\.mix=probabilities averages to steps of 1/255: export fp16"):
        _check_mix(loaded, job)
    _check_mix(loaded, replace(job, precision="int8-dynamic"))
    _check_mix(loaded, replace(job, variant=Variant(head="concat")))
