"""The MIL evaluator against PyTorch, on packages that coremltools wrote."""

import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pmsi_export.formats.coreml.mil.evaluator import read_program
from pmsi_export.formats.coreml.mil.operations import OPERATIONS, UnknownToEvaluator, _unpack
from pmsi_export.formats.coreml.mil.package import main_block, read_specification, write_specification
from tests.export.mil_cases import CASES, SIDE, Compressible, Network

COMPRESSED = ("affine16", "skewed16", "palette16", "affine18", "skewed18", "groups18")
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "tests.export.mil_cases", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return folder


def operations_of(package):
    return {operation.type for operation in main_block(read_specification(package)).operations}


def evaluate(package, pixels=PIXELS):
    return np.array(list(read_program(package).predict(pixels).values()))


@torch.no_grad()
def expected(network: nn.Module):
    return network.eval()(torch.from_numpy(PIXELS).permute(2, 0, 1)[None].float())[0].numpy()


@pytest.mark.parametrize("name", CASES)
def test_an_operation_gives_what_pytorch_gives(packages, name):
    package, case = packages / f"{name}.mlpackage", CASES[name]
    assert set(case.operations) <= operations_of(package)
    np.testing.assert_allclose(evaluate(package), expected(Network(case.forward)), rtol=1e-5, atol=1e-6)


def test_every_operation_of_the_evaluator_is_in_one_of_these_packages(packages):
    assert set(OPERATIONS) <= set().union(*(operations_of(package) for package in packages.glob("*.mlpackage")))


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_weights_are_those_that_coremltools_decompresses(packages, name):
    package, plain = packages / f"{name}.mlpackage", packages / f"{name}-decompressed.mlpackage"
    assert any(operation.startswith("constexpr_") for operation in operations_of(package))
    assert not any(operation.startswith("constexpr_") for operation in operations_of(plain))
    np.testing.assert_array_equal(evaluate(package), evaluate(plain))
    assert 0 < np.abs(evaluate(package) - expected(Compressible())).max() < 0.01


def test_float16_results_are_rounded(packages):
    values = evaluate(packages / "half.mlpackage")
    np.testing.assert_array_equal(values, values.astype(np.float16))
    assert 0 < np.abs(values - expected(Compressible())).max() < 1e-3


def test_an_operation_that_is_not_known_is_named(packages):
    with pytest.raises(UnknownToEvaluator, match="the MIL operation cumsum"):
        read_program(packages / "unknown.mlpackage")


def test_a_known_operation_in_an_unknown_form_is_not_guessed(packages, tmp_path):
    package = shutil.copytree(packages / "gelu.mlpackage", tmp_path / "gelu.mlpackage")
    specification = read_specification(package)
    exact = next(each for each in main_block(specification).operations if "EXACT" in str(each))
    exact.attributes["val"].immediateValue.tensor.strings.values[0] = "SIGMOID_APPROXIMATION"
    write_specification(package, specification)
    with pytest.raises(UnknownToEvaluator, match="gelu in the form SIGMOID_APPROXIMATION"):
        read_program(package)


def test_an_image_of_another_size_is_refused(packages):
    with pytest.raises(ValueError, match=r"the program takes \(8, 8, 3\)"):
        evaluate(packages / "clip.mlpackage", np.zeros((9, 8, 3), np.uint8))


@given(st.integers(1, 8).flatmap(lambda bits: st.tuples(st.just(bits), st.lists(st.integers(0, 2**bits - 1)))))
def test_packed_indices_are_unpacked(packed):
    bits, values = packed
    number = sum(value << position * bits for position, value in enumerate(values))
    content = np.frombuffer(number.to_bytes((len(values) * bits + 7) // 8, "little"), np.uint8)
    assert _unpack(torch.from_numpy(content.astype(np.int32)), bits, len(values)).tolist() == values


@settings(deadline=None)
@given(st.data())
def test_windows_are_where_mil_puts_them(data):
    """Pads of the first axis come first, begin before end."""
    height, width, kernel = (data.draw(st.integers(3, 6)) for _ in range(3))
    kernel = min(kernel, height, width)
    top, bottom, left, right = pad = [data.draw(st.integers(0, kernel // 2)) for _ in range(4)]
    down, across = (data.draw(st.integers(1, 3)) for _ in range(2))
    x = torch.from_numpy(np.random.default_rng(height).normal(size=(1, 1, height, width)).astype(np.float32))
    weight = torch.ones(1, 1, kernel, kernel)
    padded = np.zeros((height + top + bottom, width + left + right))
    padded[top : top + height, left : left + width] = x[0, 0]
    rows = range(0, padded.shape[0] - kernel + 1, down)
    columns = range(0, padded.shape[1] - kernel + 1, across)
    sums = [padded[row : row + kernel, column : column + kernel].sum() for row, column in product(rows, columns)]
    strides, pads, ones = torch.tensor([down, across]), torch.tensor(pad), torch.ones(2, dtype=torch.int32)
    convolved = OPERATIONS["conv"](x, weight, strides, "custom", pads, ones, 1)
    assert convolved.shape[2:] == (len(rows), len(columns))
    np.testing.assert_allclose(convolved.flatten(), sums, atol=1e-5)
    averaged = OPERATIONS["avg_pool"](x, torch.tensor([kernel, kernel]), strides, "custom", pads)
    np.testing.assert_allclose(averaged.flatten() * kernel**2, sums, atol=1e-5)
