"""benchmark_model: given, fetched once, kept, and refused when it is not what it should be."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pmsi_bench.phone.binary import cache_folder, find_tool
from pmsi_mobile.errors import MeasurementError, PmsiError
from tests.benchmarks.phone.adbd.benchmark_model import tool_binary

NAME = "android_aarch64_benchmark_model"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A server in place of Google's, and the folder that it serves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    served = tmp_path / "served"
    served.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


def test_fetched_once_after_asking_and_kept(source):
    address, served = source
    (served / NAME).write_bytes(tool_binary())
    questions: list[str] = []

    def yes(question: str) -> bool:
        questions.append(question)
        return True

    kept = find_tool(None, ["arm64-v8a", "armeabi-v7a"], yes, source=address)
    assert kept == cache_folder() / NAME
    assert kept.read_bytes() == tool_binary()
    (served / NAME).unlink()
    assert find_tool(None, ["arm64-v8a"], yes, source=address) == kept
    assert questions == [f"Fetch benchmark_model from {address}/{NAME}?"]


def test_kept_file_that_has_changed_is_refused(source):
    address, served = source
    (served / NAME).write_bytes(tool_binary())
    kept = find_tool(None, ["arm64-v8a"], lambda _: True, source=address)
    kept.write_bytes(kept.read_bytes() + b"!")
    with pytest.raises(PmsiError, match="its SHA-256 differs: remove it to fetch it again"):
        find_tool(None, ["arm64-v8a"], lambda _: True, source=address)


def test_nothing_is_fetched_without_consent(source):
    address, _ = source
    with pytest.raises(PmsiError, match="not fetched without consent: pass --yes, or --benchmark-model PATH"):
        find_tool(None, ["arm64-v8a"], lambda _: False, source=address)
    assert not cache_folder().exists()


def test_failed_download_leaves_nothing(source):
    address, served = source
    with pytest.raises(MeasurementError, match=r"cannot be fetched .*404"):
        find_tool(None, ["arm64-v8a"], lambda _: True, source=address)
    (served / NAME).write_text("<html>log in to the network first</html>")
    with pytest.raises(PmsiError, match="is not a program for Android"):
        find_tool(None, ["arm64-v8a"], lambda _: True, source=address)
    (served / NAME).write_bytes(tool_binary())
    assert find_tool(None, ["arm64-v8a"], lambda _: True, source=address).is_file()


def test_given_program_is_looked_at(tmp_path: Path):
    given = tmp_path / "benchmark_model"
    with pytest.raises(PmsiError, match="does not exist"):
        find_tool(given, ["arm64-v8a"], lambda _: False)
    given.write_bytes(tool_binary("x86_64"))
    with pytest.raises(PmsiError, match="is for x86_64, the phone runs arm64-v8a, armeabi-v7a"):
        find_tool(given, ["arm64-v8a", "armeabi-v7a"], lambda _: False)
    given.write_bytes(tool_binary("armeabi-v7a"))
    assert find_tool(given, ["arm64-v8a", "armeabi-v7a"], lambda _: False) == given


def test_there_is_no_official_program_for_emulators():
    with pytest.raises(PmsiError, match="no official benchmark_model for x86_64"):
        find_tool(None, ["x86_64"], lambda _: True)
