"""Core ML packages: written, checked on this system, and what is wrong with a package is found."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from pmsi_export.checks.gates import agreement, judge
from pmsi_export.contract.schema import sidecar_path
from pmsi_export.formats.coreml.convert import look_up_table
from pmsi_export.formats.coreml.metadata import embed, extract
from pmsi_export.formats.coreml.mil.package import (
    class_labels,
    main_block,
    read_specification,
    weights_path,
    write_specification,
)
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.runtime.runner import NotRunnable
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import CLASSES, run_command

PRECISIONS = ("fp32", "fp16", "int8-weights", "palette6")
IOS = {6: "iOS 15", 7: "iOS 16"}


@pytest.fixture(scope="module")
def models(checkpoint, tmp_path_factory):
    """Packages by precision, written by one process: most of the time goes into importing coremltools."""
    folder = tmp_path_factory.mktemp("coreml")
    code = (
        "import sys; from pathlib import Path\n"
        "from pmsi_export.jobs.exporter import export; from pmsi_export.jobs.job import Job\n"
        "checkpoint, folder, *precisions = sys.argv[1:]\n"
        "for each in precisions: export(Job(Path(checkpoint), 'coreml', each, Path(folder), 'ckpt'))"
    )
    command = [sys.executable, "-c", code, checkpoint, folder, *PRECISIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    # The network is a random one, which a coarse precision may change too much for its gate.
    packages = {path.name.replace(".rejected", ""): path for path in folder.glob("*.mlpackage")}
    return {each: packages[f"ckpt{'' if each == 'fp32' else f'-{each}'}.mlpackage"] for each in PRECISIONS}


@pytest.fixture
def copy(models, tmp_path):
    return shutil.copytree(models["fp32"], tmp_path / "ckpt.mlpackage")


@pytest.fixture(scope="module")
def parity_of(checkpoint):
    golden = load_variant(checkpoint, Variant()).golden
    images = golden.images.permute(0, 2, 3, 1).contiguous().numpy()

    def measure(package):
        return judge("fp32", agreement(load_file(package, verify=False), images, golden.probabilities.numpy()))

    return measure


def test_a_package_passes_the_gate_and_the_contract_says_what_ran_it(models):
    parity = read_contract(models["fp32"]).parity
    assert (parity.status, parity.runtime) == ("passed", FORMATS["coreml"].runtime_here)
    assert parity.golden.max_abs_difference < 1e-4


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs here")
def test_elsewhere_than_on_macos_it_is_the_evaluator():
    assert FORMATS["coreml"].runtime_here == "MIL evaluator"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_minimum_runtime_is_that_of_the_specification(models, precision):
    version = read_specification(models[precision]).specificationVersion
    assert read_contract(models[precision]).minimum_runtime.startswith(IOS[version])


def test_weights_are_stored_in_the_precision(models):
    stored = {precision: weights_path(models[precision]).stat().st_size for precision in PRECISIONS}
    assert stored["fp16"] < 0.51 * stored["fp32"]
    assert stored["int8-weights"] < 0.29 * stored["fp32"]
    assert stored["palette6"] < 0.27 * stored["fp32"]
    sqnr = {precision: read_contract(models[precision]).parity.golden.sqnr_db for precision in PRECISIONS}
    assert sqnr.pop("fp32") > 80
    assert all(10 < lossy < 80 for lossy in sqnr.values())


def test_a_weight_is_looked_up_in_as_many_values_as_the_bits_have():
    values = np.random.default_rng(0).normal(size=64).astype(np.float16)
    weight = np.random.default_rng(1).choice(values, (96, 576, 1, 1))
    table, indices = look_up_table(weight, 6)
    assert (table.shape, table.dtype, indices.dtype) == ((64,), np.float16, np.uint8)
    assert (table[indices].reshape(weight.shape) == weight).all()


def test_flipped_weights_fail_the_gate(copy, parity_of):
    assert parity_of(copy).status == "passed"
    operations = main_block(read_specification(copy)).operations
    weight = next(each for each in operations if each.outputs[0].name == "head_mix_linear_weight")
    start = weight.attributes["val"].blobFileValue.offset + 64
    content = bytearray(weights_path(copy).read_bytes())
    content[start : start + 200] = bytes(byte ^ 0x80 for byte in content[start : start + 200])
    weights_path(copy).write_bytes(content)
    parity = parity_of(copy)
    assert parity.status == "failed"
    assert "golden samples: max abs difference" in parity.reason


def test_blue_for_red_fails_the_gate(copy, parity_of):
    specification = read_specification(copy)
    image = specification.description.input[0].type.imageType
    image.colorSpace = image.BGR
    write_specification(copy, specification)
    assert parity_of(copy).status == "failed"


def test_an_operation_that_the_evaluator_does_not_know_is_not_measured(copy):
    specification = read_specification(copy)
    softmax = next(each for each in main_block(specification).operations if each.type == "softmax")
    softmax.type = "softermax"
    write_specification(copy, specification)
    with pytest.raises(NotRunnable) as error:
        load_file(copy, verify=False)
    assert error.value.reason == "the MIL evaluator does not know the MIL operation softermax; Core ML on macOS does"


@pytest.mark.parametrize("damage", ["specification", "weights", "truncated weights"])
def test_a_damaged_package_is_an_error_of_one_line(copy, damage):
    file = weights_path(copy) if "weights" in damage else copy / "Data/com.apple.CoreML/model.mlmodel"
    file.write_bytes(file.read_bytes()[:1000] if damage == "truncated weights" else b"not a model" * 100)
    for verify, message in ((False, "cannot be read as a coreml model"), (True, "is damaged|has changed")):
        with pytest.raises(PmsiError, match=message) as error:
            load_file(copy, verify=verify)
        assert "\n" not in str(error.value)


def test_the_contract_is_in_the_package(models):
    assert extract(models["fp32"]).text == sidecar_path(models["fp32"]).read_text(encoding="utf-8")
    metadata = read_specification(models["fp32"]).description.metadata
    assert metadata.shortDescription == "Image classifier, 5 classes: rmg-pmsi with mobilenet_v2"
    assert metadata.versionString == read_contract(models["fp32"]).checkpoint_sha256[:12]


def test_embedding_leaves_the_content_as_it_was(copy):
    before = extract(copy)
    changed = json.dumps(json.loads(before.text) | {"metrics": {"new": 1}})
    embed(copy, changed)
    assert extract(copy) == type(before)(changed, before.content_sha256)


@pytest.mark.parametrize("name", ["weights/weight.bin", "model.mlmodel", "../../Manifest.json"])
def test_a_byte_that_flipped_is_refused_or_without_effect(copy, name):
    """Without effect: the metadata that coremltools writes, a date for one."""
    file = copy / "Data/com.apple.CoreML" / name
    whole, contract = file.read_bytes(), read_contract(copy)
    refused = 0
    for position in range(0, len(whole), len(whole) // 100):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        file.write_bytes(damaged)
        try:
            assert read_contract(copy) == contract
        except PmsiError:
            refused += 1
    assert refused >= 99


def test_the_contract_of_another_package_is_refused(copy, models):
    embed(copy, extract(models["fp16"]).text)
    with pytest.raises(PmsiError, match="has the contract of another file"):
        load_file(copy)


def test_labels_in_another_order_are_refused(copy):
    text = extract(copy).text
    specification = read_specification(copy)
    labels = main_block(specification).operations[-1].inputs["classes"].arguments[0].value.immediateValue.list.values
    for label, name in zip(labels, reversed(CLASSES), strict=True):
        label.immediateValue.tensor.strings.values[0] = name
    write_specification(copy, specification)
    assert class_labels(specification) == list(reversed(CLASSES))
    for refused in (lambda: embed(copy, text), lambda: load_file(copy)):
        with pytest.raises(PmsiError, match="its labels are not the classes of its contract"):
            refused()


def test_a_contract_is_read_without_heavy_packages(models):
    code = (
        "import sys; from pathlib import Path; from pmsi_export.formats.coreml.metadata import extract\n"
        "assert extract(Path(sys.argv[1])).text\n"
        "print([name for name in ('torch', 'coremltools', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, models["fp32"]], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_int8_activations_are_refused_with_the_way_out(checkpoint):
    result = run_command("pmsi-export", checkpoint, "--format", "coreml", "--precision", "int8")
    assert result.status == 2
    assert "coreml cannot be written in int8" in result.stderr
    assert "take int8-weights" in result.stderr


def test_probabilities_are_in_the_order_of_the_classes(models, checkpoint):
    golden = load_variant(checkpoint, Variant()).golden
    image = golden.images[0].permute(1, 2, 0).contiguous().numpy()
    np.testing.assert_allclose(load_file(models["fp32"]).predict(image), golden.probabilities[0], atol=1e-4)
