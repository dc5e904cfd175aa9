"""Files with a second output, how little a photo is like any class: in every format, and what its users are told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pmsi_export.checks.gates import agreement, judge, not_measured
from pmsi_export.contract.schema import Contract, OutputSpec, parse_contract, seal
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import FORMATS, converter
from pmsi_export.graph.fold import Answer, MixGraph, PooledHead, WholeAverage, fold
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.jobs.describe import describe
from pmsi_export.jobs.predictor import Predictor, open_predictor
from pmsi_export.runtime.reference import reference_runner
from pmsi_export.runtime.runner import Runner, all_classes
from pmsi_export.weights.int8 import quantise
from pmsi_mobile.checkpoint import load_checkpoint, save_checkpoint
from pmsi_mobile.confidence.record import Unknown
from pmsi_mobile.errors import MeasurementError, PmsiError
from tests.conftest import small_config
from tests.export.conftest import CONFIDENCE, draw_picture, make_checkpoint, run_command

SIDE = 64
VARIANT = Variant(unknown_score=True)
PRECISIONS = [("tflite", "int8"), ("onnx", "int8"), ("torchscript", "fp32"), ("coreml", "fp16"), ("executorch", "int8")]
"""In which most is done to the graph."""

TWO_CLASSES = Contract.model_construct(
    format="onnx", output=OutputSpec(shape=(1, 2), unknown_score="negative of the largest logit"), classes=("a", "b")
)


class OneLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 16, 5, stride=4, padding=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        return [nn.functional.relu(self.layer(image / 64))]


@pytest.fixture(scope="module")
def graph() -> MixGraph:
    torch.manual_seed(0)
    linear = nn.Linear(16, 5)
    nn.init.normal_(linear.weight, std=4)
    graph = MixGraph(torch.full((1, 3, 1, 1), 120.0), OneLayer(), PooledHead(WholeAverage(), linear, Answer(True)))
    return graph.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([np.array(draw_picture(number).resize((SIDE, SIDE))) for number in range(12)])


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has a threshold, of which some golden samples are above."""
    path = make_checkpoint(tmp_path_factory.mktemp("run") / "ckpt.pt")
    confidence = CONFIDENCE["mix"].model_copy(update={"unknown": Unknown(kept=0.95, threshold=-2.0)})
    save_checkpoint(replace(load_checkpoint(path), confidence={"mix": confidence}), path)
    return path


def golden_images(checkpoint: Path) -> list[np.ndarray]:
    return [image.permute(1, 2, 0).numpy() for image in load_checkpoint(checkpoint).golden.images]


@pytest.mark.parametrize(("name", "precision"), PRECISIONS)
def test_every_format_gives_the_score_beside_the_probabilities(name, precision, graph, images, scoring, tmp_path):
    known = FORMATS[name]
    contract = describe(load_checkpoint(scoring), "0" * 64, known, not_measured(precision, "no"), precision, VARIANT)
    path = tmp_path / f"model{known.suffix}"
    # As an export rounds them: weights of the whole range overflow in ONNX Runtime without VNNI.
    rounded = quantise(graph, images, paired_sums=known.paired_sums) if precision == "int8" else graph
    converter(known).convert(rounded, contract, path, images)
    runner = all_classes(load_file(path, verify=False), contract)
    with torch.no_grad():
        expected, score = graph(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    assert score.std() > 0.5
    found = agreement(runner, images, expected.numpy(), unknown_scores=score[:, 0].double().numpy())
    assert judge(precision, found).status == "passed", found


@pytest.mark.parametrize(("method", "head"), [("rmg-pmsi", "mix"), ("rmg-pmsi", "concat"), ("baseline", "mix")])
def test_the_graph_gives_the_score_of_the_training_network(method, head, tmp_path):
    path = make_checkpoint(tmp_path / "ckpt.pt", method=method)
    save_checkpoint(replace(load_checkpoint(path), confidence=CONFIDENCE), path)
    loaded = load_checkpoint(path)
    temperature, rule = loaded.confidence_of(head).temperature, loaded.config.model.mix
    folded = fold(loaded.network(), loaded.config.preprocessing, rule, head, None, temperature, unknown_score=True)
    with torch.no_grad():
        probabilities, scores = folded(loaded.golden.images.float())
    answers = [reference_runner(loaded, head).answer(image) for image in golden_images(path)]
    np.testing.assert_allclose(probabilities, np.stack([answer.probabilities for answer in answers]), atol=1e-5)
    np.testing.assert_allclose(scores[:, 0], [answer.unknown_score for answer in answers], atol=1e-4)
    assert scores.std() > 0.1


@pytest.fixture(scope="module")
def exported(scoring, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    options = ("--format", "torchscript", "--unknown-score", "--output", folder)
    result = run_command("pmsi-export", scoring, *options)
    assert (result.status, result.stderr) == (0, "")
    assert "unknown score: difference <= 0.001" in result.stdout
    return folder / "ckpt-unknown.ptl"


def test_the_contract_says_what_the_score_is_and_from_where_on_it_means_no_class(exported, scoring):
    contract = read_contract(exported)
    assert contract.output.unknown_score == "negative of the largest logit"
    assert contract.confidence.unknown == Unknown(kept=0.95, threshold=-2.0)
    assert contract.confidence.photos == 300
    assert contract.parity.status == "passed"
    assert contract.parity.golden.unknown_score.max_abs_difference < 1e-3
    runner, reference = load_file(exported), reference_runner(load_checkpoint(scoring))
    for image in golden_images(scoring):
        assert runner.answer(image).unknown_score == pytest.approx(reference.answer(image).unknown_score, abs=1e-3)


def test_without_the_option_nothing_of_it_is_in_the_contract(scoring):
    known = FORMATS["onnx"]
    text = seal(describe(load_checkpoint(scoring), "0" * 64, known, not_measured("fp32", "no"), "fp32"))
    assert "unknown" not in text
    assert parse_contract(text, Path("ckpt.onnx")).confidence.unknown is None


def test_info_and_predictions_say_none_of_these(exported, scoring, tmp_path):
    shown = run_command("pmsi-export", "--info", exported).stdout
    assert "none of these   above an unknown score of -2.00, which keeps 95% of the classes' photos" in shown
    photos = []
    for number in range(8):
        photos.append(tmp_path / f"{number}.png")
        draw_picture(number).save(photos[-1])
    wanted = [open_predictor(scoring).predict(photo).none for photo in photos]
    assert set(wanted) == {True, False}
    predictions = json.loads(run_command("pmsi-predict", exported, *photos, "--json").stdout)["predictions"]
    assert [each["none_of_these"] for each in predictions] == wanted
    odd = photos[wanted.index(True)]
    assert "none of these" in run_command("pmsi-predict", exported, odd).stdout


def test_a_file_without_a_score_does_not_say_whether_it_is_any(images, tmp_path):
    draw_picture(0).save(tmp_path / "photo.png")
    predictor = Predictor(
        Runner(lambda image: image, lambda native: np.ones(2) / 2), ("a", "b"), small_config().preprocessing
    )
    assert predictor.predict(tmp_path / "photo.png").none is None


def test_a_checkpoint_without_a_threshold_gives_files_without_one_and_says_what_makes_it(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "ckpt.pt")
    result = run_command("pmsi-export", checkpoint, "--format", "torchscript", "--unknown-score")
    assert result.status == 0
    assert "the files have no threshold of the unknown score: pmsi-calibrate makes it" in result.stderr
    assert read_contract(tmp_path / "ckpt-unknown.ptl").confidence is None


def test_what_has_no_logits_or_two_outputs_already_is_refused(tmp_path, scoring):
    averaged = make_checkpoint(tmp_path / "ckpt.pt", model__mix="probabilities")
    with pytest.raises(PmsiError, match="there are no logits for an unknown score"):
        load_variant(averaged, VARIANT)
    load_variant(averaged, Variant(head="concat", unknown_score=True))
    result = run_command("pmsi-export", scoring, "--unknown-score", "--top-k", 3)
    assert result.status == 2
    assert "--unknown-score and --top-k each add an output" in result.stderr


def test_another_size_has_no_threshold(scoring):
    assert load_variant(scoring, replace(VARIANT, size=32)).confidence_of().unknown is None


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, np.nan]])
def test_a_score_that_is_another_one_fails_the_gate(scores):
    reference = np.full((2, 2), 0.5, np.float32)
    given = iter(scores)
    runner = Runner(lambda image: image, lambda native: (reference[0], np.array([next(given)])))
    images = [np.zeros((1, 1, 3), np.uint8)] * 2
    found = agreement(all_classes(runner, TWO_CLASSES), images, reference, unknown_scores=np.array([1.0, 3.0]))
    for precision in ("fp32", "fp16", "int8"):
        parity = judge(precision, found)
        assert parity.status == "failed"
        assert "unknown score" in parity.reason


def test_a_file_that_gives_no_score_where_its_contract_says_so_is_one_clear_line():
    runner = all_classes(Runner(lambda image: image, lambda native: np.ones(2)), TWO_CLASSES)
    with pytest.raises(MeasurementError, match="where its contract says"):
        runner.predict(np.zeros((1, 1, 3), np.uint8))
