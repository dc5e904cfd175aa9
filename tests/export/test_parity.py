import numpy as np
import pytest
import torch

from pmsi_export.checks.gates import GATES, agreement, judge, not_measured
from pmsi_export.graph.fold import fold
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.runtime.reference import reference_runner
from pmsi_export.runtime.runner import Runner, nchw
from pmsi_mobile.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def golden(checkpoint):
    samples = load_variant(checkpoint, Variant()).golden
    return samples.images.permute(0, 2, 3, 1).numpy(), samples.probabilities.numpy()


@pytest.fixture(scope="module")
def graph(checkpoint):
    loaded = load_checkpoint(checkpoint)
    config, temperature = loaded.config, loaded.confidence_of().temperature
    return fold(loaded.network(), config.preprocessing, config.model.mix, temperature=temperature)


def runner_of(graph, channels=(0, 1, 2)):
    def run(native):
        with torch.no_grad():
            return graph(torch.from_numpy(native)[:, list(channels)])[0].numpy()

    return Runner(nchw, run)


def test_the_folded_graph_passes(graph, golden):
    parity = judge("fp32", agreement(runner_of(graph), *golden))
    assert parity.status == "passed"
    assert parity.reason is None
    assert parity.golden.images == 8


def test_the_training_network_agrees_with_its_golden_samples(checkpoint, golden):
    measured = agreement(reference_runner(load_checkpoint(checkpoint)), *golden)
    assert measured.max_abs_difference < 1e-5


def test_swapped_channels_fail_and_the_report_says_by_how_much(graph, golden):
    parity = judge("fp32", agreement(runner_of(graph, channels=(2, 1, 0)), *golden))
    assert parity.status == "failed"
    assert "golden samples: max abs difference" in parity.reason
    assert "> 0.0001" in parity.reason


def test_photos_are_gated_like_golden_samples(graph, golden):
    good = agreement(runner_of(graph), *golden)
    bad = good.model_copy(update={"top1_agreement": 0.5})
    assert judge("fp32", good, bad).reason == "photos: top-1 agreement 50.0% < 100.0%"


def test_an_output_that_is_not_a_number_fails(golden):
    images, reference = golden
    broken = Runner(nchw, lambda native: np.full(reference.shape[1], np.nan, dtype=np.float32))
    measured = agreement(broken, images, reference)
    assert measured.max_abs_difference == 1.0
    assert judge("fp32", measured).status == "failed"


def test_labels_give_the_accuracy_of_both(graph, golden):
    images, reference = golden
    labels = reference.argmax(axis=1).tolist()
    labels[0] = (labels[0] + 1) % reference.shape[1]
    measured = agreement(runner_of(graph), images, reference, labels)
    assert measured.top1 == measured.reference_top1 == 7 / 8


def test_a_drop_of_exactly_the_bound_is_within_it(graph, golden):
    measured = agreement(runner_of(graph), *golden)
    one_of_a_hundred = measured.model_copy(update={"top1": 0.89, "reference_top1": 0.9})
    assert GATES["int8"].misses(one_of_a_hundred) == []
    two = measured.model_copy(update={"top1": 0.88, "reference_top1": 0.9})
    assert GATES["int8"].misses(two) == ["accuracy drop 2.00 > 1 point"]


def test_a_calibration_error_may_rise_by_a_point_where_enough_photos_say_so(graph, golden):
    images, reference = golden
    same = agreement(runner_of(graph), images, reference, reference.argmax(axis=1).tolist())
    assert same.ece == pytest.approx(same.reference_ece, abs=1e-4)
    assert agreement(runner_of(graph), images, reference).ece is None
    risen = same.model_copy(update={"images": 200, "ece": same.reference_ece + 0.02})
    assert GATES["int8"].misses(risen) == ["calibration error 2.00 > 1 point higher"]
    assert GATES["int8"].misses(risen.model_copy(update={"images": 199})) == []


def test_what_was_not_measured_is_not_passed():
    assert not_measured("fp32", "--no-verify").status == "not measured"
