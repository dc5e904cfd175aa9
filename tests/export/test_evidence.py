"""What judges a file must say something: numbers, and photos that the training network knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pmsi_export.checks.gates import GATES, agreement, judge
from pmsi_export.checks.photos import check_calibration, no_evidence
from pmsi_export.contract.schema import OutputSpec
from pmsi_export.graph.variant import Variant
from pmsi_export.runtime.preprocess import load_images
from pmsi_export.runtime.runner import Runner, all_classes, nhwc
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.files import list_images
from pmsi_mobile.errors import MeasurementError, PmsiError
from tests.export.conftest import run_command
from tests.export.test_contract import contract as any_contract

REFERENCE = np.float32(
    [[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.05, 0.95], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]]
)


def measured(outputs: np.ndarray):
    rows = iter(outputs)
    runner = Runner(nhwc, lambda native: next(rows))
    return agreement(runner, np.zeros((len(outputs), 2, 2, 3), np.uint8), REFERENCE[: len(outputs)])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("precision", GATES)
def test_an_output_that_is_not_finite_passes_no_gate(precision, number):
    outputs = REFERENCE.copy()
    outputs[0, 0] = number
    assert judge(precision, measured(REFERENCE)).status == "passed"
    assert judge(precision, measured(outputs)).status == "failed"
    # Neither as golden samples beside photos that are all right, nor the other way round.
    many = measured(REFERENCE).model_copy(update={"images": 300})
    assert judge(precision, measured(np.full_like(REFERENCE, number)), many).status == "failed"
    assert (
        judge(precision, measured(REFERENCE), measured(outputs).model_copy(update={"images": 300})).status == "failed"
    )


def test_nothing_is_compared_with_a_reference_that_is_not_finite():
    runner = Runner(nhwc, lambda native: REFERENCE[0])
    with pytest.raises(MeasurementError, match="not finite"):
        agreement(runner, np.zeros((1, 2, 2, 3), np.uint8), np.float32([[np.nan, 1]]))


def test_photos_that_say_nothing_do_not_take_away_the_golden_samples_floor():
    wrong = REFERENCE[:, ::-1]
    walls = measured(REFERENCE).model_copy(update={"images": 300, "confident_images": 0, "confident_agreement": None})
    judged = judge("int8", measured(wrong), walls)
    assert judged.status == "failed"
    assert "golden samples: SQNR" in judged.reason


def test_photos_that_the_training_network_does_not_know_are_no_evidence(checkpoint):
    loaded = load_checkpoint(checkpoint)
    sure = torch.eye(len(loaded.classes))[:1].repeat(8, 1) * 0.9 + 0.1 / len(loaded.classes)
    metrics = {"val": {"photos": 100, "heads": {"mix": {"top1": 0.8, "top5": 1.0}}}}
    loaded = replace(loaded, metrics=metrics, golden=replace(loaded.golden, probabilities=sure))
    known = sure[:1].numpy().repeat(40, axis=0)
    assert no_evidence(known, [0] * 30 + [1] * 10, loaded) is None
    assert "right on 4 of 40" in no_evidence(known, [0] * 4 + [1] * 36, loaded)
    walls = np.full((20, len(loaded.classes)), 1 / len(loaded.classes), np.float32)
    assert "sure of none of the 20 photos" in no_evidence(walls, [0] * 20, loaded)
    # A network that is never sure, or that recorded nothing, is not held against itself.
    unsure = replace(loaded, metrics={}, golden=replace(loaded.golden, probabilities=torch.from_numpy(walls[:8])))
    assert no_evidence(walls, [0] * 20, unsure) is None
    # Nor is another size, which training did not measure, or a record that is none.
    assert no_evidence(known, [0] * 4 + [1] * 36, loaded, Variant(size=96)) is None
    for odd in ({"val": None}, {"val": {"heads": {}}}, {"val": {"heads": {"mix": {"top1": "good"}, "concat": 1}}}):
        assert no_evidence(known, [0] * 40, replace(loaded, metrics=odd)) is None
    # Each head has its own record.
    metrics["val"]["heads"]["concat"] = {"top1": 0.1}
    assert no_evidence(known, [0] * 4 + [1] * 36, loaded, Variant(head="concat")) is None


def test_photos_that_say_nothing_calibrate_nothing(checkpoint, pictures):
    loaded = load_checkpoint(checkpoint)
    photos = load_images(list_images(pictures), loaded.config.preprocessing)
    check_calibration(photos, loaded)
    for useless in (photos[:1], photos[:1].repeat(20, axis=0), np.full_like(photos, 200)):
        with pytest.raises(PmsiError, match=r"not calibrated on [01] photos that differ .*: pass --calibration DIR"):
            check_calibration(useless, loaded)
    walls = np.random.default_rng(0).normal(200, 4, photos.shape).clip(0, 255).astype(np.uint8)
    # It takes a network that knows its own photos to say that it knows none of these.
    sure = torch.eye(len(loaded.classes))[:1].repeat(8, 1)
    knowing = replace(loaded, golden=replace(loaded.golden, probabilities=sure))
    for name, weight in loaded.weights.items():
        if name.startswith("classifiers") and weight.is_floating_point():
            weight *= 1e-3
    with pytest.raises(PmsiError, match="sure of none of the photos that int8 is calibrated on"):
        check_calibration(walls, knowing)


def test_the_reason_why_photos_calibrate_nothing_reaches_the_user(checkpoint, tmp_path):
    for number in range(20):
        Image.new("RGB", (96, 80), (200, 200, 200 + number)).save(tmp_path / f"{number}.png")
    options = ("--format", "onnx", "--precision", "int8", "--calibration", tmp_path, "--output", tmp_path)
    result = run_command("pmsi-export", checkpoint, *options)
    assert result.status == 1
    assert "0 photos that differ and are not blank: pass --calibration DIR" in result.stderr
    assert not list(tmp_path.glob("*.onnx"))


PIXELS = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("given", "top_k", "message"),
    [
        (np.ones(3), None, r"gives \(3,\) where its contract says \(2,\)"),
        (np.ones((1, 2)), None, "where its contract says"),
        (None, None, "where its contract says"),
        (np.ones(2), 1, "where its contract says"),
        ((np.ones(1), np.array([2])), 1, "gives a class beyond the 2 of its contract"),
        ((np.ones(1), np.array([-1])), 1, "gives a class beyond the 2 of its contract"),
        ((np.ones(1), np.array([0])), None, "where its contract says"),
        (ValueError("uint8 expected"), None, "cannot be run as its contract says: uint8 expected"),
    ],
)
def test_a_file_that_does_not_give_what_its_contract_says_is_one_clear_line(given, top_k, message):
    def run(native):
        if isinstance(given, Exception):
            raise given
        return given

    contract = any_contract()
    if top_k:
        contract = contract.model_copy(update={"output": OutputSpec(shape=(1, top_k), top_k=top_k)})
    with pytest.raises(MeasurementError, match=message):
        all_classes(Runner(nhwc, run), contract).predict(PIXELS)
    assert all_classes(Runner(nhwc, lambda native: np.ones(2)), any_contract()).predict(PIXELS).shape == (2,)
