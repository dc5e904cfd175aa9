"""pmsi-bench --runner web: files on the page of pmsi-export --web, in a real browser."""

import os
from pathlib import Path

import pytest

from pmsi_bench.host import browser
from pmsi_bench.results.host_result import BenchResult
from pmsi_export.web import npm
from tests.benchmarks.browser import needs_browser
from tests.benchmarks.command import pmsi_bench

V1 = Path(__file__).parents[1] / "export" / "fixtures" / "v1"
RUNTIME = Path(os.environ.get("PMSI_WEB_RUNTIME") or npm.cache_folder())
WEB = ("--runner", "web")

needs_runtime = pytest.mark.skipif(
    bool(npm.missing(RUNTIME)),
    reason="the page's runtime is neither in PMSI_WEB_RUNTIME nor fetched by pmsi-export --web",
)


@needs_browser
@needs_runtime
def test_files_are_measured_in_a_browser():
    files = (V1 / "ckpt.tflite", V1 / "ckpt-int8.tflite")
    done = pmsi_bench(*files, *WEB, "--web-runtime", RUNTIME, "--rounds", 2, "--seconds", 1, "--json")
    assert done.code == 0, done.err
    result = BenchResult.model_validate_json(done.out)
    assert [file.status for file in result.files] == ["measured", "measured"]
    for file in result.files:
        assert file.runtime.startswith(f"{npm.RUNTIME} in ")
        assert file.figures.latency.median_ms > 0
        assert file.figures.load_ms > 0
        assert file.figures.memory_bytes is None
        assert file.work.macs > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((V1 / "ckpt.tflite", *WEB, "--device", "adb"), "--runner web runs on this host: leave out --device"),
        ((V1 / "ckpt.tflite", "--runner", "app"), "--runner app is for phones: add --device adb"),
        ((V1 / "ckpt.tflite", "--web-runtime", "npm"), "--web-runtime is for --runner web"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    done = pmsi_bench(*options)
    assert done.code == 2
    assert message in done.err


def test_without_a_browser_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    done = pmsi_bench(V1 / "ckpt.tflite", *WEB)
    assert done.code == 2
    assert "needs Chromium or Chrome, and none is installed: apt-get install chromium" in done.err


@needs_browser
def test_without_the_pages_runtime_it_says_where_it_comes_from(tmp_path):
    done = pmsi_bench(V1 / "ckpt.tflite", *WEB, "--web-runtime", tmp_path)
    assert done.code == 2
    assert "pmsi-export --web fetches it once" in done.err


@needs_browser
@needs_runtime
def test_other_formats_are_refused():
    done = pmsi_bench(V1 / "ckpt.onnx", *WEB, "--web-runtime", RUNTIME)
    assert done.code == 2
    assert "--runner web runs .tflite files" in done.err
