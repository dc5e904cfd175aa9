"""pmsi-bench --device adb with benchmark_model, from the command to the phone and back."""

import re
from pathlib import Path

from tests.benchmarks.command import pmsi_bench
from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.workbench import plugged_in


def test_two_files_on_two_delegates(adb: dict[str, str], phone: Phone, models: Path, tool: Path):
    with plugged_in(adb, phone):
        shown = pmsi_bench(
            models / "ckpt.tflite", models / "ckpt-int8.tflite", "--device", "adb", "--delegate", "cpu,gpu",
            "--benchmark-model", tool, "--rounds", 6, "--runs", 20, "--cores", "big", "--json",
        )  # fmt: skip
    assert shown.code == 0, shown.err
    result = shown.result
    assert [(row.title, row.status, row.parity.status) for row in result.rows] == [
        ("ckpt.tflite, cpu", "measured", "passed"),
        ("ckpt.tflite, gpu", "measured", "passed"),
        ("ckpt-int8.tflite, cpu", "measured", "passed"),
        ("ckpt-int8.tflite, gpu", "measured", "passed"),
    ]
    first, on_gpu, *_ = result.rows
    assert result.baseline == first.title
    assert first.figures.inferences == 120
    # The pretended GPU takes half of the time.
    assert on_gpu.figures.ratio.low < 0.51
    assert on_gpu.figures.ratio.high > 0.49
    assert first.note == "XNNPACK executes the graph partially, 97 of 99 nodes in TfLiteXNNPackDelegate"
    assert on_gpu.note == "GPU executes the graph completely, 99 of 99 nodes in TfLiteGpuDelegateV2, through OpenCL"
    assert [op.kind for op in first.inspection.operators][:2] == ["TfLiteXNNPackDelegate", "MAX_POOL_2D"]
    assert first.inspection.peak_memory_mb == 38.5
    # fp32 on a GPU is held to what half precision can give.
    assert "0.02" in on_gpu.parity.gate
    assert on_gpu.parity.golden.max_abs_difference > first.parity.golden.max_abs_difference
    assert result.device.affinity == "f0"
    assert result.device.name == "Pretended Pixel Test"
    assert [(cluster.cores, cluster.max_mhz) for cluster in result.device.clusters] == [
        ((0, 1, 2, 3), 1800),
        ((4, 5, 6, 7), 2850),
    ]
    assert result.fixed_performance
    assert not phone.fixed_performance
    assert phone.left_behind == []


def test_rounds_are_interleaved_and_their_order_rotates(adb, phone: Phone, models: Path, tool: Path):
    with plugged_in(adb, phone):
        shown = pmsi_bench(
            models / "ckpt.tflite", models / "ckpt-int8.tflite", "--device", "adb",
            "--benchmark-model", tool, "--rounds", 3, "--runs", 2, "--json",
        )  # fmt: skip
    assert [burst.inferences for burst in shown.result.rows[0].rounds] == [2, 2, 2]
    graphs = [
        next(word for word in words.split() if word.startswith("--graph="))
        for name, words in phone.steps
        if name == "benchmark_model" and "--num_runs=2 " in words
    ]
    one, other = dict.fromkeys(graphs)
    assert graphs == [one, other, other, one, one, other]


def test_choice_claims_no_more_than_the_intervals(adb, phone: Phone, models: Path, tool: Path):
    def sentence(rounds: int, *delegates: str) -> str:
        with plugged_in(adb, phone):
            shown = pmsi_bench(
                models / "ckpt.tflite", *arguments, "--rounds", rounds, "--delegate", ",".join(delegates)
            )
        return " ".join(shown.out.split())

    arguments = ("--device", "adb", "--benchmark-model", tool)
    told = sentence(6, "cpu", "gpu")
    assert "ckpt.tflite, gpu has the smallest median of the 2 that passed parity on the phone: median 2." in told
    assert re.search(r"Next is ckpt.tflite, cpu, which takes (1\.9|2\.0)\d times as long \(95 % interval ", told)
    assert "next: pmsi-bench " in told
    told = sentence(1, "cpu", "gpu")
    assert "no interval can be given for its lead over ckpt.tflite, cpu." in told
    phone.gpu = "constant"
    told = sentence(1, "gpu")
    assert "No file that was measured on this phone has passed the parity gate there." in told
    assert "next:" not in told


def test_table_says_what_must_be_known(adb, phone: Phone, models: Path, tool: Path):
    phone.fixed_performance_settable = False
    with plugged_in(adb, phone):
        shown = pmsi_bench(models / "ckpt.tflite", models / "ckpt.onnx", "--device", "adb",
                           "--benchmark-model", tool, "--rounds", 1, "--delegate", "gpu")  # fmt: skip
    assert shown.code == 0, shown.err
    for words in (
        "Pretended Pixel Test (Pretended PT1000, Android 14), benchmark_model, 1 thread",
        "ckpt.onnx, gpu: not runnable, benchmark_model runs .tflite only, --runner app runs .onnx too",
        "ckpt.tflite, gpu: GPU executes the graph completely",
        "warmest sensor CPU0: before 32 °C, after 32",
        "this phone cannot hold its clocks",
    ):
        assert words in " ".join(shown.out.split()), shown.out


def test_android_of_2015_has_neither_exit_codes_nor_a_thermal_service(adb, tmp_path: Path, models: Path, tool: Path):
    phone = Phone(tmp_path / "phone", sdk=23, build="old")
    with plugged_in(adb, phone, features=""):
        shown = pmsi_bench(
            models / "ckpt.tflite", "--device", "adb", "--benchmark-model", tool, "--rounds", 2, "--json"
        )
    assert shown.code == 0, shown.err
    [row] = shown.result.rows
    assert (row.status, row.figures.typical_is) == ("measured", "mean")
    assert row.parity.status == "not measured"
    assert row.parity.reason == "this build of benchmark_model writes no outputs: take a newer one"
    assert shown.result.thermal_before.status is None
    assert phone.left_behind == []
