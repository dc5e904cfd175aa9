"""The graphs inside the files: what runtimes are given to do, and what the options change."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pmsi_export.checks.gates import agreement
from pmsi_export.checks.inspect import diagnose, diagnose_checkpoint
from pmsi_export.commands.export import main as export
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.tflite.convert import quantise_dynamically
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.runtime.runner import Runner
from pmsi_mobile.errors import PmsiError
from tests.export.conftest import draw_picture, run_command
from tests.pmsi_mobile.runs import call


def counts(diagnosis):
    return {operator.name: operator.count for operator in diagnosis.operators}


def test_xnnpack_takes_the_whole_tflite_graph_in_one_piece(exported):
    diagnosis = diagnose(exported.file("tflite"))
    assert diagnosis.partitions == 1
    assert {operator.runs_on for operator in diagnosis.operators} == {"XNNPACK"}


def test_weights_in_int8_alone_do_not_split_the_graph(exported, tmp_path):
    model = Path(shutil.copy(exported.file("tflite"), tmp_path / "ckpt-int8-dynamic.tflite"))
    quantise_dynamically(model)
    assert diagnose(model).partitions == 1
    assert model.stat().st_size < 0.4 * exported.file("tflite").stat().st_size


def test_the_tflite_graph_has_no_operator_that_does_nothing(exported):
    operators = counts(diagnose(exported.file("tflite")))
    assert operators["ELU"] == operators["SOFTMAX"] == operators["SUB"] == 1
    # The pooled maps [1, 1, 1, c] become vectors [1, c].
    assert operators["RESHAPE"] == operators["MAX_POOL_2D"] == 3
    # Mix of logits: one last product for all heads, after the interaction's two and the heads' four.
    assert operators["FULLY_CONNECTED"] == 7
    assert operators.keys() <= {
        *("ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "ELU", "FULLY_CONNECTED"),
        *("LOGISTIC", "MAX_POOL_2D", "MUL", "PAD", "RESHAPE", "SOFTMAX", "SUB"),
    }


def test_an_executorch_file_is_one_call_of_xnnpack(exported):
    [only] = diagnose(exported.file("executorch")).operators
    assert (only.name, only.count, only.runs_on) == ("delegate call", 1, "XnnpackBackend")


def test_onnx_operators_are_those_that_the_provider_ran(exported):
    operators = diagnose(exported.file("onnx")).operators
    assert {operator.runs_on for operator in operators} == {"CPU"}
    names = {operator.name for operator in operators}
    assert {"Conv", "Gemm", "Elu", "Softmax"} <= names
    assert not names & {"Transpose", "BatchNormalization", "Identity"}


def test_a_file_has_the_work_of_the_graph_that_it_was_made_from(exported, checkpoint):
    graph = diagnose_checkpoint(checkpoint)
    assert diagnose(exported.file("tflite")).macs == diagnose(exported.file("onnx")).macs == graph.macs
    # The converter moves one bias into the next layer.
    assert diagnose(exported.file("tflite")).parameters == pytest.approx(graph.parameters, rel=1e-3)


@pytest.mark.parametrize(("name", "expected"), [("torchscript", "_convolution"), ("coreml", "conv")])
def test_operators_of_formats_without_a_delegate(exported, name, expected):
    diagnosis = diagnose(exported.file(name))
    assert diagnosis.partitions is None
    assert counts(diagnosis)[expected] == 58


def test_diagnose_prints_one_table_per_file_and_json_for_scripts(exported, checkpoint, monkeypatch, capsys):
    files = [exported.file("tflite"), exported.file("executorch"), checkpoint]
    shown = run_command("pmsi-export", "--diagnose", *files)
    assert (shown.status, shown.stderr) == (0, "")
    assert f"{files[0]}: " in shown.stdout
    assert "1 delegated partition\n" in shown.stdout
    assert call(export, monkeypatch, "--diagnose", *files, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in rows] == ["tflite", "executorch", "checkpoint"]
    assert rows[0]["macs"] == rows[2]["macs"] > 1e7


@pytest.fixture(scope="module")
def other(checkpoint, tmp_path_factory):
    """The concat classifier's three best at another size, in two formats."""
    folder = tmp_path_factory.mktemp("other")
    options = ("--head", "concat", "--size", 96, "--top-k", 3, "--format", "tflite", "--format", "onnx")
    result = run_command("pmsi-export", checkpoint, *options, "--output", folder, "--json")
    assert result.status == 0, result.stderr
    return [Path(row["file"]) for row in json.loads(result.stdout)]


def test_another_size_head_and_top_k_pass_the_gate_and_are_in_the_contract(other):
    assert [file.name for file in other] == ["ckpt-concat-96-top3.tflite", "ckpt-concat-96-top3.onnx"]
    for file in other:
        contract = read_contract(file)
        assert contract.parity.status == "passed"
        assert contract.model.head == "concat"
        assert (contract.preprocessing.resize, contract.preprocessing.crop) == (108, 96)
        assert contract.input.shape[2] == 96
        assert (contract.output.shape, contract.output.top_k) == ((1, 3), 3)


def test_a_top_k_file_gives_its_classes_and_the_runner_puts_them_in_their_places(other):
    image = np.array(draw_picture(1).resize((96, 96)))
    for file in other:
        raw = load_file(file, verify=False)
        largest, indices = raw.run(raw.prepare(image))
        assert indices.dtype.kind == "i"
        assert list(largest) == sorted(largest, reverse=True)
        probabilities = load_file(file).predict(image)
        assert probabilities.shape == (5,)
        assert (probabilities > 0).sum() == 3
        assert np.array_equal(probabilities[indices], largest)


def test_a_class_that_a_top_k_file_leaves_out_counts():
    reference = np.array([[0.5, 0.3, 0.15, 0.05]], np.float32)
    right = np.array([0.5, 0.3, 0, 0], np.float32)
    wrong = np.array([0.5, 0, 0.15, 0], np.float32)
    for given, difference in ((right, 0), (wrong, 0.15)):
        runner = Runner(lambda image: image, lambda native, given=given: given)
        measured = agreement(runner, [np.zeros((1, 1, 3), np.uint8)], reference, top_k=True)
        assert measured.max_abs_difference == pytest.approx(difference, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "coreml", "--top-k", 3), "coreml cannot be written with --top-k: its classifiers give a dict"),
        (("--size", 100), "--size 100 is not a multiple of 32"),
        (("--head", "last"), "unknown head 'last': choose mix or concat"),
    ],
)
def test_a_graph_that_cannot_be_had_is_refused(checkpoint, options, message):
    result = run_command("pmsi-export", checkpoint, *options)
    assert result.status == 2
    assert message in result.stderr


def test_more_classes_than_there_are_cannot_be_asked_for(checkpoint):
    with pytest.raises(PmsiError, match="has 5 classes, --top-k asks for 6"):
        load_variant(checkpoint, Variant(top_k=6))
