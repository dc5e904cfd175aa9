"""A pretended phone behind a real adb server, and small real model files."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.adbd.server import adb_server
from tests.benchmarks.phone.workbench import make_models, make_tool


@pytest.fixture(scope="session")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which clients find the server."""
    with adb_server(tmp_path_factory.mktemp("adb")) as settings:
        yield settings


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """adbutils waits 10 ms whenever it closes a connection."""
    monkeypatch.setattr("adbutils._adb.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    return Phone(tmp_path / "phone")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    return make_tool(tmp_path)
