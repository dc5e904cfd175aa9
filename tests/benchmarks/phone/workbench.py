"""Real exported files, a pretended phone behind a real adb server, and the command run on them in this process."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from pmsi_bench.phone.record import DeviceRecord
from pmsi_bench.phone.thermal import Thermal
from pmsi_bench.results.phone_result import DeviceResult
from pmsi_export.contract.golden_samples import GoldenSamples, write_golden
from pmsi_export.formats.open import read_contract
from pmsi_mobile.checkpoint import load_checkpoint
from tests.benchmarks.phone.adbd.benchmark_model import tool_binary
from tests.benchmarks.phone.adbd.daemon import Daemon
from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.adbd.server import connected

FIXTURES = Path(__file__).parents[2] / "export" / "fixtures" / "v1"
SAMPLES = 3
"""Golden samples that are kept; each costs a start of the program."""


@contextmanager
def plugged_in(settings: dict[str, str], phone: Phone, *, state: str = "device", **adbd: object) -> Iterator[Daemon]:
    """The phone on the adb server of these settings, which is the one that this process uses meanwhile."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, settings))
        daemon = stack.enter_context(Daemon(phone, **adbd))
        stack.enter_context(connected(settings, daemon, state=state))
        yield daemon


def pretended_result(**fields: object) -> DeviceResult:
    """A result of rows that nothing was measured for."""
    device = DeviceRecord(
        serial="SERIAL", manufacturer="Pretended", model="Pixel Test", soc=None, android="14", sdk=34,
        abis=("arm64-v8a",), fingerprint=None, clusters=[], battery_percent=None, battery_celsius=None, awake=True,
        battery_saver=False, affinity=None,
    )  # fmt: skip
    cool = Thermal(status=0, temperatures={})
    return DeviceResult(
        command="pmsi-bench", started=datetime(2026, 1, 1, tzinfo=UTC), runner="app", tool_sha256=None, threads=1,
        runs=5, rounds=6, device=device, fixed_performance=True, thermal_before=cool, thermal_after=cool, lost=None,
        **fields,
    )  # fmt: skip


def make_models(folder: Path) -> Path:
    """A folder of real exported files of 64 px with their golden samples."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ckpt.tflite", "ckpt-int8.tflite", "ckpt.onnx"):
        shutil.copy(FIXTURES / name, folder / name)
    golden = load_checkpoint(FIXTURES / "ckpt.pt").golden
    samples = GoldenSamples(golden.images[:SAMPLES].permute(0, 2, 3, 1).numpy(), golden.probabilities[:SAMPLES].numpy())
    write_golden(samples, read_contract(folder / "ckpt.tflite"), folder / "ckpt.golden.zip")
    return folder


def make_tool(folder: Path, abi: str = "arm64-v8a") -> Path:
    """What stands for benchmark_model."""
    path = folder / f"benchmark_model_{abi}"
    path.write_bytes(tool_binary(abi))
    return path
