"""Accuracy, sweeps and sustained load, from the command on."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from shutil import which
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from pmsi_bench.host import sustained
from pmsi_bench.host.sustained import Window, slow_down, sustain
from pmsi_bench.results.host_result import BenchResult
from pmsi_bench.subjects.subject import Job
from pmsi_bench.subjects.sweep import Sweep, split_sweep
from pmsi_mobile.errors import PmsiError
from tests.benchmarks.command import pmsi_bench
from tests.benchmarks.conftest import SIDE
from tests.conftest import make_checkpoint, small_config

FIXTURES = Path(__file__).parents[1] / "export/fixtures/v1"


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Photos of three classes that the model of `onnx_model` tells apart, and one that it gets wrong."""
    shades = {"a": (200, 40, 40), "b": (40, 200, 40), "c": (40, 40, 200)}
    for split in ("train", "test"):
        for name, shade in shades.items():
            folder = tmp_path / "colours" / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (40, 48), shade).save(folder / f"{number}.png")
    Image.new("RGB", (40, 40), shades["a"]).save(tmp_path / "colours/test/c/wrong.png")
    return tmp_path / "colours"


def test_corrupted_photos_are_others_and_said_to_be(onnx_model: Callable[[str], Path], colours: Path):
    common = (onnx_model("tiny.onnx"), "--rounds", 6, "--seconds", 1, "--json")
    done = pmsi_bench(*common, "--accuracy", colours, "--corrupt", "gaussian-noise:wrap", "--severity", 30)
    assert done.code == 0, done.err
    [file] = BenchResult.model_validate_json(done.out).files
    assert file.accuracy.corruption == "gaussian-noise:wrap, severity 30, seed 0"
    assert file.accuracy.top1 < 0.9
    assert "corrupted photos: gaussian-noise:wrap" in done.err
    refused = pmsi_bench(*common, "--corrupt", "color-jitter")
    assert refused.code == 2
    assert "add --accuracy DATA" in refused.err


def test_accuracy_threads_and_sustained_load_in_one_result(
    onnx_model: Callable[[str], Path], colours: Path, tmp_path: Path
):
    done = pmsi_bench(
        onnx_model("tiny.onnx"), "--rounds", 6, "--seconds", 1, "--accuracy", colours,
        "--sweep", "threads=1,2", f"size={SIDE}", "--sustained", 0.03, "--json", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert done.code == 0, done.err
    result = BenchResult.model_validate_json(done.out)
    assert [(file.name, file.threads) for file in result.files] == [
        ("tiny.onnx, 1 thread", 1),
        ("tiny.onnx, 2 threads", 2),
    ]
    for file in result.files:
        assert (file.accuracy.photos, file.accuracy.top1, file.accuracy.agreement) == (10, 0.9, None)
        assert file.sustained
        # No window begins after the 0.03 minutes.
        assert all(window.seconds < 1.8 for window in file.sustained[:-1])
    # One matrix product of 3 x 3.
    assert result.files[0].work.macs == 9
    assert set(result.peak_macs_per_second) == {1, 2}
    assert min(result.peak_macs_per_second.values()) > 0
    page = (tmp_path / "page.html").read_text()
    assert "Under load without a pause" in page
    assert "10 photos of" in page


def test_pytorch_is_a_reference_that_the_others_agree_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from pmsi_mobile.checkpoint import load_checkpoint
    from tests.export.conftest import draw_picture

    classes = load_checkpoint(FIXTURES / "ckpt.pt").classes
    for split in ("train", "test"):
        for number in range(6):
            folder = tmp_path / split / classes[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            draw_picture(number).save(folder / f"{number}.png")
    # No compiler is found: it would be at work for a minute.
    monkeypatch.setenv("PATH", str(tmp_path))
    done = pmsi_bench(
        FIXTURES / "ckpt.pt", FIXTURES / "ckpt.tflite", "--rounds", 6, "--seconds", 1, "--accuracy", tmp_path,
        "--baseline", "ckpt.tflite", "--json",
    )  # fmt: skip
    eager, compiled, exported = BenchResult.model_validate_json(done.out).files
    assert (eager.name, eager.parity, eager.status) == ("ckpt.pt, eager", "reference", "measured")
    assert done.code == 0, done.err
    assert (compiled.name, compiled.status) == ("ckpt.pt, compiled", "not runnable")
    assert compiled.reason == "torch.compile needs a C++ compiler, and none is installed"
    assert (exported.accuracy.photos, exported.accuracy.agreement) == (6, 1.0)
    assert exported.accuracy.top1 == eager.accuracy.top1
    assert exported.figures.ratio.median == 1
    assert exported.work.delegated == 1
    assert json.loads(done.out)["baseline"] == "ckpt.tflite"


@pytest.mark.skipif(not which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_checkpoint_of_any_name_is_measured_eager_and_compiled(tmp_path: Path):
    config = small_config(model__backbone="test_resnet")
    images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    done = pmsi_bench(make_checkpoint(tmp_path / "network.pth", config, ("a", "b"), images), "--rounds", 1, "--json")
    assert done.code == 0, done.err
    assert [(file.name, file.status) for file in BenchResult.model_validate_json(done.out).files] == [
        ("network.pth, eager", "measured"),
        ("network.pth, compiled", "measured"),
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--sweep", "size=448"), "no file given has an input of 448 pixels: pmsi-export --size 448"),
        (("--sweep", "sizes=448"), "is not understood"),
        (("--sweep", "threads=0"), "is not understood"),
        (("--baseline", "other.onnx"), "--baseline other.onnx is no row"),
        (("--report", "page.pdf"), "suffix that is not known"),
        (("--accuracy", "nowhere"), "nowhere"),
        (("--report", "/dev/null/page.html"), "/dev/null/page.html cannot be written"),
        (("--delegate", "gpu"), "--delegate is for phones: add --device adb"),
        (("--threads", "2", "--sweep", "threads=1"), "--threads does not go with threads="),
    ],
)
def test_wrong_use_is_one_line(onnx_model: Callable[[str], Path], arguments: tuple[str, ...], reason: str):
    # Nothing is measured before: that would take the time of a lifetime.
    done = pmsi_bench(onnx_model("tiny.onnx"), "--rounds", 10**9, *arguments)
    assert done.code == 2
    assert reason in done.err
    assert done.err.count("\n") == 1


def test_what_is_swept_is_told_from_the_files():
    files, sweep = split_sweep(["models", "size=224,448", "b.onnx"], "threads=1,2,2")
    assert files == [Path("models"), Path("b.onnx")]
    assert sweep == Sweep(threads=(1, 2), sides=(224, 448))
    assert split_sweep(["size=224"], None) == ([Path("size=224")], Sweep())
    with pytest.raises(PmsiError, match="write threads"):
        split_sweep([], "threads=a")


def test_load_lasts_as_long_as_it_is_asked_to_in_windows_of_a_second(monkeypatch: pytest.MonkeyPatch):
    """By a clock that only inferences move on: 10 ms each, then 20 ms."""
    clock = SimpleNamespace(now=0.0)

    def run(count: int) -> list[int]:
        each = 0.01 if clock.now < 2 else 0.02
        clock.now += count * each
        return [round(each * 1e9)] * count

    monkeypatch.setattr(sustained, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(sustained, "open_worker", lambda job: nullcontext(SimpleNamespace(run=run)))
    windows, problem = sustain(Job(Path("model.onnx"), SIDE), minutes=0.1, progress=lambda seconds: None)
    assert problem is None
    assert [window.inferences for window in windows] == [100, 100, 100, 50, 50]
    assert [window.seconds for window in windows] == pytest.approx([1, 2, 4, 5, 6])
    assert [window.median_ms for window in windows] == [10, 10, 20, 20, 20]


def test_slowing_down_is_the_last_fifth_over_the_first():
    windows = [Window(seconds=second, median_ms=10 if second < 50 else 15, inferences=9) for second in range(100)]
    assert slow_down(windows) == 1.5
    assert slow_down(windows[:9]) is None
