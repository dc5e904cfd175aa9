"""Temperature, calibration error, and promises that hold as often as they say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pmsi_mobile.checkpoint import load_checkpoint, save_checkpoint
from pmsi_mobile.commands._confidence_output import confidence_lines
from pmsi_mobile.confidence.calibration import FEWEST, calibrate
from pmsi_mobile.confidence.measures import calibration_error, first_and_correct, measure, reliability, risk_coverage
from pmsi_mobile.confidence.promises import ERROR, kept, promises
from pmsi_mobile.confidence.record import NOT_CALIBRATED, Answers, Confidence, Unknown
from pmsi_mobile.confidence.temperature import COLDEST, KNOWN, fit_temperature, photos_wanted, softmax
from pmsi_mobile.confidence.unknown import KEPT, find_threshold, unknown_scores
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.network.mixing import mix
from tests.conftest import make_checkpoint, small_config

CLASSES = 6


def photos(random, count, heat=1.0):
    """Logits [count, CLASSES], `heat` times as large as they should be, and the labels."""
    logits = random.normal(size=(count, CLASSES)) * random.gamma(2, 2, size=(count, 1))
    return logits * heat, drawn(random, logits)


def drawn(random, logits):
    """Labels with the probabilities that the logits say."""
    return (logits + random.gumbel(size=logits.shape)).argmax(axis=1)


def sharp_photos(random, count):
    """Of a network that is right nine times in ten, as sure as it should be."""
    logits = 4 * photos(random, count)[0]
    return logits, drawn(random, logits)


def split(parts, *arrays):
    return [np.array_split(array, parts) for array in arrays]


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(COLDEST, 100), st.sampled_from([1, 4]))
def test_no_temperature_moves_another_class_to_the_front(seed, temperature, heads):
    logits = 10 * torch.randn(8, heads, CLASSES, generator=torch.Generator().manual_seed(seed))
    probabilities = mix(logits, "logits", temperature)
    before = mix(logits, "logits").argmax(dim=1, keepdim=True)
    # Where both round to 1, they share the first place.
    assert (probabilities.gather(1, before)[:, 0] == probabilities.amax(dim=1)).all()


@pytest.mark.parametrize("heat", [0.5, 1.0, 3.7])
def test_the_temperature_is_how_much_too_large_the_logits_are(heat):
    logits, labels = photos(np.random.default_rng(0), 4000, heat)
    assert fit_temperature(logits, labels) == pytest.approx(heat, rel=0.05)


def test_the_fitted_temperature_has_the_least_likelihood_loss():
    logits, labels = photos(np.random.default_rng(1), 2000, 2.0)
    best = fit_temperature(logits, labels)
    losses = {factor: measure(softmax(logits / (best * factor)), labels).nll for factor in (0.9, 1.0, 1.1)}
    assert min(losses, key=losses.get) == 1.0


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_few_photos_of_a_network_that_is_mostly_right_do_not_make_it_unsure(heat):
    """A further photo of any class (Platt 1999) doubled the temperature here: it weighs like many wrong answers."""
    random = np.random.default_rng(10)
    logits, labels = sharp_photos(random, 6000)
    assert (logits.argmax(axis=1) == labels).mean() == pytest.approx(0.9, abs=0.02)
    found = [fit_temperature(heat * part, truth) for part, truth in zip(*split(100, logits, labels), strict=True)]
    assert np.exp(np.mean(np.log(found))) == pytest.approx(heat, rel=0.25)


def test_a_network_without_a_mistake_is_not_made_sure_beyond_measure():
    logits = np.eye(CLASSES)[np.arange(60) % CLASSES] * 5
    temperature = fit_temperature(logits, np.arange(60) % CLASSES)
    assert 0.5 < temperature < 1
    assert softmax(logits / temperature).max() < 1 - 0.1 / 60


def test_so_many_photos_as_are_wanted_determine_the_temperature():
    random = np.random.default_rng(11)
    logits, labels = sharp_photos(random, 60_000)
    wanted = np.median([photos_wanted(part, 1.0) for part in split(600, logits)[0]])
    assert 60 < wanted < 600
    parts = len(logits) // int(wanted)
    found = [fit_temperature(part, truth) for part, truth in zip(*split(parts, logits, labels), strict=True)]
    assert np.std(np.log(found)) == pytest.approx(KNOWN, rel=0.2)
    # As few of them tell how many.
    few = [photos_wanted(part, 1.0) for part in split(1000, logits)[0]]
    assert np.median(few) == pytest.approx(wanted, rel=0.2)


def test_labels_that_have_nothing_to_do_with_the_logits_make_it_unsure():
    random = np.random.default_rng(2)
    logits = 20 * random.normal(size=(500, CLASSES))
    assert softmax(logits / fit_temperature(logits, random.integers(CLASSES, size=500))).max() < 0.4


def test_the_figures_of_three_photos_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    figures = measure(probabilities, np.array([0, 1, 1]))
    assert figures.nll == pytest.approx(-np.log([0.8, 0.4, 0.7]).mean())
    assert figures.brier == pytest.approx(2 * (0.04 + 0.36 + 0.09) / 3)
    assert figures.ece == pytest.approx((0.2 + 0.6 + 0.3) / 3)
    assert figures.aurc == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert risk_coverage(*first_and_correct(probabilities, np.array([0, 1, 1]))).tolist() == [0, 0, 1 / 3]


def test_bins_have_equally_many_photos_and_rise():
    first = np.random.default_rng(3).random(150) ** 3
    bins = reliability(first, first > 0.5)
    assert len(bins) == 15
    assert (np.diff(bins[:, 0]) > 0).all()
    assert bins[:, 0].mean() == pytest.approx(first.mean())


def test_the_interval_of_the_calibration_error_holds_the_error_of_many_photos():
    """Of sharpened probabilities; the bare bootstrap percentiles lie above it, for few photos scatter."""
    random = np.random.default_rng(4)
    many = photos(random, 100_000, 2.0)
    error = calibration_error(*first_and_correct(softmax(many[0]), many[1]))
    figures = [measure(softmax(logits), labels) for logits, labels in (photos(random, 300, 2.0) for _ in range(20))]
    assert sum(each.ece_low <= error <= each.ece_high for each in figures) >= 16


def test_calibration_takes_the_error_away():
    random = np.random.default_rng(5)
    logits, labels = photos(random, 600, 3.0)
    found = calibrate(torch.tensor(logits)[:, None], torch.tensor(labels), "logits")["mix"]
    others, truth = photos(random, 3000, 3.0)
    before, after = (measure(softmax(others / heat), truth) for heat in (1, found.temperature))
    assert after.ece < 0.03 < 0.1 < before.ece
    assert after.nll < before.nll
    assert after.brier < before.brier


def test_twenty_photos_of_an_unsure_network_do_better_than_none():
    random = np.random.default_rng(15)
    others, truth = photos(random, 3000, 0.4)
    uncalibrated = measure(softmax(others), truth).ece
    errors = []
    for _ in range(20):
        logits, labels = photos(random, FEWEST, 0.4)
        temperature = calibrate(torch.tensor(logits)[:, None], torch.tensor(labels), "logits")["mix"].temperature
        errors.append(measure(softmax(others / temperature), truth).ece)
    assert np.median(errors) < uncalibrated / 2
    assert max(errors) < uncalibrated


def test_mix_and_concat_have_a_temperature_each_and_few_photos_none():
    logits, labels = photos(np.random.default_rng(6), 400)
    heads = torch.tensor(np.stack([logits, logits, logits], axis=1))
    found = calibrate(heads, torch.tensor(labels), "logits")
    assert found["mix"].temperature == pytest.approx(3 * found["concat"].temperature, rel=0.05)
    assert found["mix"].photos == 400
    averaged = calibrate(heads, torch.tensor(labels), "probabilities")
    assert averaged["mix"].temperature == 1
    assert averaged["concat"] == found["concat"]
    assert set(calibrate(heads[:, :1], torch.tensor(labels), "logits")) == {"mix"}
    assert calibrate(heads[: FEWEST - 1], torch.tensor(labels[: FEWEST - 1]), "logits") == {}


def held(threshold, right, truth):
    first, correct = truth
    return correct[first >= threshold].mean() >= right


def test_a_promise_holds_in_95_of_100_draws():
    """With everything that is fitted on the photos of the promise, the temperature too."""
    random = np.random.default_rng(7)
    logits, labels = photos(random, 60_000, 3.0)
    everyone, draws = slice(20_000), 150
    made, broken = Counter(), Counter()
    for _ in range(draws):
        chosen = random.integers(20_000, len(labels), size=300)
        temperature = fit_temperature(logits[chosen], labels[chosen])
        truth = first_and_correct(softmax(logits[everyone] / temperature), labels[everyone])
        for answers in promises(*first_and_correct(softmax(logits[chosen] / temperature), labels[chosen])):
            made[answers.right] += 1
            broken[answers.right] += not held(answers.threshold, answers.right, truth)
    assert made[0.90] > draws / 2
    assert made[0.95] > draws / 4
    # Two standard deviations above the promised share.
    assert max(broken.values()) <= draws * ERROR + 2 * (draws * ERROR * (1 - ERROR)) ** 0.5


def test_what_photos_cannot_support_is_not_promised():
    sure = np.linspace(0.5, 1, 58)
    assert [answers.right for answers in promises(sure, np.full(58, True))] == [0.90]
    assert [answers.right for answers in promises(np.linspace(0.5, 1, 59), np.full(59, True))] == [0.90, 0.95]
    assert promises(sure, np.full(58, False)) == ()
    everything = promises(np.linspace(0.5, 1, 300), np.full(300, True))
    assert [(answers.right, answers.threshold, answers.coverage) for answers in everything] == [
        (0.90, 0.0, 1.0),
        (0.95, 0.0, 1.0),
        (0.99, 0.0, 1.0),
    ]


def test_what_became_of_a_promise_is_counted_on_other_photos():
    first, correct = np.array([0.9, 0.8, 0.3, 0.2]), np.array([True, False, True, True])
    promised = tuple(Answers(right=0.9, threshold=threshold, coverage=0.5) for threshold in (0.5, 0.95))
    found, silent = kept(promised, first, correct)
    assert (found.answered, found.right) == (0.5, 0.5)
    assert (silent.answered, silent.right) == (0, None)


def test_photos_of_the_same_probability_are_answered_all_or_none():
    first = np.repeat([0.9, 0.8], 100)
    correct = np.arange(200) < 150
    (at_90, at_95, *_) = promises(first, correct)
    assert at_90.threshold == at_95.threshold == pytest.approx(0.85)
    assert at_90.coverage == 0.5


@pytest.mark.parametrize("count", [FEWEST, 300])
def test_photos_of_the_classes_are_kept_as_often_as_promised(count):
    random = np.random.default_rng(8)
    shares = []
    for _ in range(2000):
        scores = random.gumbel(size=count + 100)
        shares.append((scores[count:] <= find_threshold(scores[:count]).threshold).mean())
    # Exact up to the steps of a few photos, and two standard deviations of the draws.
    error = 2 * np.std(shares) / len(shares) ** 0.5
    assert KEPT - error <= np.mean(shares) <= KEPT + 1 / (count + 1) + error


def test_the_unknown_threshold_is_of_calibrated_logits():
    logits, labels = photos(np.random.default_rng(9), 400, 3.0)
    heads = torch.tensor(np.stack([logits, logits], axis=1))
    for name, found in calibrate(heads, torch.tensor(labels), "logits").items():
        scores = unknown_scores((2 if name == "mix" else 1) * logits / found.temperature)
        assert (scores <= found.unknown.threshold).mean() == pytest.approx(0.955, abs=0.003)
    assert calibrate(heads, torch.tensor(labels), "probabilities")["mix"].unknown is None


def test_too_few_photos_are_told_with_how_many_would_do():
    logits, labels = sharp_photos(np.random.default_rng(12), 2000)
    few, many = (
        calibrate(torch.tensor(logits[:n])[:, None], torch.tensor(labels[:n]), "logits")["mix"] for n in (60, 2000)
    )
    assert 100 < few.wanted < 600
    assert many.wanted is None
    [told] = [line for line in confidence_lines({"mix": few}) if "too few for" in line]
    assert told == f"60 photos are too few for a temperature that is certain: about {few.wanted} would do"
    assert not [line for line in confidence_lines({"mix": many}) if "too few for" in line]
    heads = torch.tensor(np.stack([logits[:60], logits[:60]], axis=1))
    assert calibrate(heads, torch.tensor(labels[:60]), "probabilities")["mix"].wanted is None


def test_a_confidence_without_what_was_added_later_is_written_as_before():
    assert set(Confidence(temperature=2.0, photos=60).model_dump()) == {"temperature", "photos", "answers"}
    known = Confidence(photos=60, unknown=Unknown(kept=0.95, threshold=-3.0), wanted=200)
    assert Confidence.model_validate(known.model_dump()) == known


def test_a_checkpoint_keeps_its_confidence(tmp_path):
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    path = make_checkpoint(tmp_path / "ckpt.pt", small_config(), ("a", "b"), images)
    loaded = load_checkpoint(path)
    assert loaded.confidence_of("mix") == NOT_CALIBRATED
    answers = (Answers(right=0.9, threshold=0.7, coverage=0.5),)
    unknown = Unknown(kept=0.95, threshold=-3.0)
    confidence = {"mix": Confidence(temperature=2.0, photos=100, answers=answers, unknown=unknown)}
    save_checkpoint(replace(loaded, confidence=confidence), path)
    assert load_checkpoint(path).confidence == confidence
    assert load_checkpoint(path).confidence_of("mix").threshold(0.9) == 0.7
    assert load_checkpoint(path).confidence_of("mix").threshold(0.95) is None


@pytest.mark.parametrize(
    "confidence",
    [
        {"mix": {"temperature": 0.0}},
        {"mix": {"temperature": float("nan")}},
        {"mix": {"heat": 1.0}},
        {"mix": None},
        3,
    ],
)
def test_a_damaged_confidence_is_refused(confidence, tmp_path):
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    path = make_checkpoint(tmp_path / "ckpt.pt", small_config(), ("a", "b"), images)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"confidence": confidence}, path)
    with pytest.raises(PmsiError, match="incomplete checkpoint"):
        load_checkpoint(path)
