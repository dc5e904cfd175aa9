"""A calibrated checkpoint: every file, sample and prediction of it has the calibrated probabilities."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pmsi_export.contract.golden_samples import golden_of
from pmsi_export.contract.schema import parse_contract, seal
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_export.graph.fold import fold
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.jobs.predictor import open_predictor
from pmsi_export.runtime.reference import reference_runner
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.methods.registry import build_network
from pmsi_mobile.network.mixing import mix
from tests.conftest import randomise, small_config
from tests.export.conftest import CONFIDENCE, run_command


@pytest.fixture(scope="module")
def expected(checkpoint: Path) -> np.ndarray:
    """From the network's probabilities before calibration, by hand."""
    powers = load_checkpoint(checkpoint).golden.probabilities.double() ** (1 / CONFIDENCE["mix"].temperature)
    return (powers / powers.sum(dim=1, keepdim=True)).numpy()


@pytest.mark.parametrize("format", list(FORMATS))
def test_a_file_and_its_samples_have_calibrated_probabilities(format, checkpoint, expected, exported):
    contract = read_contract(exported.file(format))
    samples = golden_of(exported.file(format), contract)
    np.testing.assert_allclose(samples.probabilities, expected, atol=1e-6)
    runner = load_file(exported.file(format))
    given = np.stack([runner.predict(image) for image in samples.images])
    np.testing.assert_allclose(given, expected, atol=1e-4)
    uncalibrated = load_checkpoint(checkpoint).golden.probabilities
    assert given.argmax(axis=1).tolist() == uncalibrated.argmax(dim=1).tolist()
    assert np.abs(given - uncalibrated.numpy()).max() > 0.02
    known = CONFIDENCE["mix"]
    said = contract.confidence
    assert (said.temperature, said.photos, said.answers) == (known.temperature, known.photos, known.answers)
    assert said.ece == contract.parity.photos.ece is not None


def test_a_photo_below_the_threshold_is_answered_with_not_sure(exported, pictures):
    models = {path.parent.name: path for path in sorted(pictures.glob("*/*.png"))}
    result = run_command("pmsi-predict", exported.file("onnx"), *models.values(), "--json")
    threshold = CONFIDENCE["mix"].threshold(0.95)
    predictions = json.loads(result.stdout)["predictions"]
    assert [each["sure"] for each in predictions] == [
        each["top"][0]["probability"] >= threshold for each in predictions
    ]
    unsure = next(each for each in predictions if not each["sure"])
    printed = run_command("pmsi-predict", exported.file("onnx"), unsure["photo"]).stdout
    first, second = (entry["class"] for entry in unsure["top"][:2])
    assert f"not sure: {first} or {second}" in printed


def test_a_prediction_of_the_checkpoint_is_calibrated_too(checkpoint, expected):
    image = load_checkpoint(checkpoint).golden.images[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(open_predictor(checkpoint).runner.predict(image), expected[0], atol=1e-5)


@pytest.mark.parametrize("rule", ["logits", "probabilities"])
@pytest.mark.parametrize(("method", "head"), [("rmg-pmsi", "mix"), ("rmg-pmsi", "concat"), ("baseline", "mix")])
def test_the_temperature_is_folded_into_the_last_layers(method, head, rule):
    config = small_config(method=method)
    torch.manual_seed(0)
    network = randomise(build_network(config, 7))
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(1)).float()
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (config.preprocessing.mean, config.preprocessing.std))
    with torch.no_grad():
        logits = network((images / 255 - mean) / std)
        graph = fold(network, config.preprocessing, rule, head, None, 2.5)
        wanted = mix(logits[:, -1:] if head == "concat" else logits, rule, 2.5)
        torch.testing.assert_close(graph(images), wanted, atol=1e-5, rtol=0)
    plain = fold(network, config.preprocessing, rule, head)
    # Nothing is computed in addition.
    assert [type(each).__name__ for each in graph.modules()] == [type(each).__name__ for each in plain.modules()]


def test_another_head_has_its_own_temperature_and_another_size_no_promises(checkpoint):
    concat = load_variant(checkpoint, Variant(head="concat"))
    image = concat.golden.images[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(
        reference_runner(concat, "concat").predict(image), concat.golden.probabilities[0], atol=1e-6
    )
    assert concat.confidence_of("concat").temperature == 0.8
    smaller = load_variant(checkpoint, Variant(size=32)).confidence_of()
    assert (smaller.temperature, smaller.answers) == (1.25, ())


def test_a_contract_without_confidence_is_read(exported):
    contract = read_contract(exported.file("onnx"))
    content = json.loads(seal(contract))
    del content["confidence"], content["contract_sha256"]
    assert parse_contract(json.dumps(content), Path("ckpt.onnx")).confidence is None
