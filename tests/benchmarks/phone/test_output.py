"""Outputs of benchmark_model from its first builds to LiteRT's."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmsi_bench.phone.output import Delegation, Statistics, parse_output
from pmsi_bench.phone.profile import parse_profile

OUTPUTS = Path(__file__).with_name("outputs")


def output_of(name: str):
    return parse_output((OUTPUTS / f"{name}.txt").read_text())


def test_everything_of_a_litert_build():
    output = output_of("litert")
    assert output.complete
    assert output.warm_up.count == 38
    assert output.runs == Statistics(
        count=77,
        first_us=13011,
        last_us=12904,
        min_us=12733,
        max_us=13622,
        mean_us=12981.3,
        stdev_us=141,
        median_us=12966,
        percentiles={5: 12790, 95: 13201},
    )
    assert (output.init_us, output.first_inference_us, output.mean_us) == (34871, 15210, 12981.3)
    assert output.delegations == [Delegation(delegate="TfLiteXNNPackDelegate", nodes=97, of=99, partitions=2)]
    assert output.delegated == {"XNNPACK": "partially"}
    assert (output.init_memory_mb, output.overall_memory_mb) == (24.6719, 31.2852)
    assert (output.peak_memory_mb, output.rss_mb) == (38.5078, 41)
    assert output.errors == []


def test_one_run_has_no_spread_and_its_mean_has_an_exponent():
    output = output_of("one_run")
    assert output.warm_up == Statistics(count=0)
    assert output.runs.count == 1
    assert output.runs.min_us == output.runs.max_us == output.runs.median_us == output.runs.mean_us == 1203456
    assert output.runs.stdev_us == 0
    assert output.complete


def test_build_of_2020_without_percentiles():
    output = output_of("gpu_2020")
    assert output.warm_up.count == 1
    assert output.runs.mean_us == output.mean_us == 1.00182e7
    assert output.runs.percentiles == {}
    assert output.runs.median_us is None
    assert output.delegated == {"GPU": "completely"}
    assert (output.init_memory_mb, output.overall_memory_mb) == (104.25, 131.867)


def test_first_build_and_a_profile_in_between():
    output = output_of("first_build")
    assert (output.warm_up.count, output.runs.count) == (1, 50)
    assert output.runs.mean_us == output.mean_us == 137722
    assert (output.init_us, output.first_inference_us) == (4452, 146161)


def test_equal_runs_and_flags_that_the_build_does_not_know():
    output = output_of("old_build_flags")
    assert output.warm_up.count == 3
    assert output.warm_up.mean_us == output.warm_up.median_us == 812
    assert output.runs.mean_us == 810
    assert output.unknown_flags == ["--output_filepath=/data/local/tmp/pmsi-bench/output.bin"]


def test_refused_delegate_says_why():
    output = output_of("gpu_refused")
    assert not output.complete
    assert output.errors == [
        "Following operations are not supported by GPU delegate:",
        "EXP: Operation is not supported.",
        "TfLiteGpuDelegate Init: No selector for reduce",
        "Failed to apply GPU delegate.",
    ]


@pytest.mark.parametrize("prefix", ["", "INFO: ", "11-24 10:00:00.123  4242  4242 I tflite  : "])
@settings(deadline=None)
@given(
    count=st.integers(2, 10**6),
    mean=st.floats(1e-3, 1e9),
    low=st.integers(0, 10**9),
    median=st.integers(0, 10**9),
)
def test_any_number_that_a_stream_prints_is_read(prefix: str, count: int, mean: float, low: int, median: int):
    # %g is what a C++ stream does with a double.
    line = f"count={count} first={low} curr={low} min={low} max={low + 1} avg={mean:g} std=3"
    warm_up, runs = f"{prefix}{line}\n", f"{prefix}{line} p5={low} median={median} p95={low}\n"
    output = parse_output(f"{warm_up}\n{runs}\n{prefix}Inference timings in us: Init: 5, Inference (avg): {mean:g}\n")
    assert output.warm_up.median_us is None
    assert output.runs.count == count
    assert output.runs.mean_us == output.mean_us == float(f"{mean:g}")
    assert (output.runs.min_us, output.runs.median_us, output.runs.percentiles[95]) == (low, median, low)


@settings(deadline=None)
@given(st.integers(0, 2400))
def test_output_cut_off_anywhere_is_read_as_far_as_it_goes(length: int):
    whole = (OUTPUTS / "litert.txt").read_text()
    runs = next(line for line in whole.splitlines(keepends=True) if "count=77" in line)
    assert parse_output(whole[:length]).complete == (runs in whole[:length])


def test_profile_is_of_the_regular_runs_in_their_order():
    ops = parse_profile((OUTPUTS / "profile.csv").read_text())
    assert [(op.kind, op.inside_delegate) for op in ops] == [
        ("TfLiteXNNPackDelegate", False),
        ("MAX_POOL_2D", False),
        ("SOFTMAX", False),
        ("Convolution (NHWC, F32) IGEMM", True),
        ("Fully Connected (NC, F32) GEMM", True),
    ]
    assert ops[0].name == "[a,StatefulPartitionedCall:0]:99"
    assert ops[0].share == pytest.approx(0.985102)
    assert ops[1].mean_ms == 1.9e-05


def test_profile_with_the_start_column_of_older_builds():
    ops = parse_profile((OUTPUTS / "profile_2020.csv").read_text())
    assert [(op.kind, op.mean_ms) for op in ops] == [("CONV_2D", 0.0930388), ("ELU", 0.0300884)]


def test_profile_of_a_build_that_wrote_none():
    assert parse_profile("") == []
