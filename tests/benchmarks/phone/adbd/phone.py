"""The pretended phone behind the test adbd: its files, its state, and what is wrong with it."""

import os
import posixpath
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.benchmarks.phone.adbd.transport import Dropped

TEMPORARY = "/data/local/tmp"
STORAGE = "/sdcard/Android/data"
_CPU = "/sys/devices/system/cpu"
HANG_SECONDS = 60
_BIG, _LITTLE = 2_850_000, 1_800_000


@dataclass
class Faults:
    """What goes wrong. A step is something that is done and the how manieth time, such as ("run", 2).

    drop: the connection ends at that step. hang: the step ends when the phone is unplugged, or after HANG_SECONDS.
    silent: nothing is answered from that step on. interrupt: this process gets a Ctrl-C at that step.
    space: bytes that fit on the data partition. bytes_per_second: of the link.
    """

    drop: tuple[str, int] | None = None
    hang: tuple[str, int] | None = None
    silent: tuple[str, int] | None = None
    interrupt: tuple[str, int] | None = None
    space: int | None = None
    bytes_per_second: float | None = None
    no_execute: bool = False
    read_only: bool = False


@dataclass
class App:
    """The demo app.

    behaviour: what it does when its benchmark is started. runtimes: built into it. gpu_opens: how often the GPU takes a
    file before it takes none any more. old_crash: what the log still has.
    """

    installed: bool = True
    behaviour: str = "works"
    runtimes: tuple[str, ...] = ("litert", "onnxruntime", "executorch")
    gpu_opens: int = 1000
    running: bool = False
    old_crash: str = (
        "E AndroidRuntime: Process: org.pmsi.mobile.demo, PID: 7\nE AndroidRuntime: java.lang.Error: last week\n"
    )


@dataclass
class Phone:
    """folder: everything that the phone's paths mean lies in it.

    abi: of the CPU. abis: what it says it runs, that ABI by default. status: thermal, one for each time that it is
    asked, the last one again and again. cpu_status: of the CPU's sensor alone. sensors: whether there are any.
    awake: whether the screen is on; wakes: whether a key wakes it. settings: of the space `global`.
    gpu: what the GPU delegate does: `half` arithmetic, `refused`, or a `constant` output. build: of
    benchmark_model, `litert`, `old`, or one that `writes nothing`.
    """

    folder: Path
    model: str = "Pixel Test"
    abi: str = "arm64-v8a"
    abis: str | None = None
    sdk: int = 34
    status: list[int] = field(default_factory=lambda: [0])
    cpu_status: int = 0
    sensors: bool = True
    awake: bool = False
    wakes: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    gpu: str = "half"
    build: str = "litert"
    fixed_performance: bool = False
    fixed_performance_settable: bool = True
    faults: Faults = field(default_factory=Faults)
    app: App = field(default_factory=App)
    unplug: Callable[[], None] = field(default=lambda: None)
    unplugged: threading.Event = field(default_factory=threading.Event)
    steps: list[tuple[str, str]] = field(default_factory=list)
    _silenced: bool = False
    _counts: Counter = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        for folder in (TEMPORARY, STORAGE):
            self.path(folder).mkdir(parents=True)
        for core in range(8):
            frequency = self.path(f"{_CPU}/cpu{core}/cpufreq")
            frequency.mkdir(parents=True)
            (frequency / "cpuinfo_max_freq").write_text(f"{_LITTLE if core < 4 else _BIG}\n")
            (frequency / "scaling_governor").write_text("schedutil\n")

    def path(self, path: str) -> Path:
        """Where a path of the phone lies: the folder is its root, above which nothing is.

        Raises PermissionError for one that a link would lead out of the folder.
        """
        real = (self.folder / posixpath.normpath(f"/{path}").lstrip("/")).resolve()
        if not real.is_relative_to(self.folder):
            raise PermissionError(path)
        return real

    def step(self, name: str, detail: str = "") -> None:
        """Note that something is done; this is where planted faults happen."""
        with self._lock:
            self.steps.append((name, detail))
            self._counts[name] += 1
            now = (name, self._counts[name])
            self._silenced |= self.faults.silent == now
        if self.faults.drop == now:
            self.unplug()
            raise Dropped
        if self.faults.interrupt == now:
            os.kill(os.getpid(), signal.SIGINT)
        if self.faults.hang == now or self._silenced:
            self.unplugged.wait(HANG_SECONDS)
        if self._silenced:
            raise Dropped

    def refusal(self, path: str) -> str | None:
        """Why a file cannot be written there."""
        writable = posixpath.normpath(path).startswith((f"{TEMPORARY}/", f"{STORAGE}/"))
        if self.faults.read_only or not writable:
            return "couldn't create file: Permission denied"
        if path.startswith(STORAGE):
            # As Android 11 answers: adb may write there, but not give the file to the shell's user.
            return "fchown failed: Operation not permitted"
        return None

    def lack_of_space(self, path: str, size: int) -> str | None:
        if self.faults.space is None:
            return None
        used = sum(
            file.stat().st_size
            for file in self.path(TEMPORARY).rglob("*")
            if file.is_file() and file != self.path(path)
        )
        return "write failed: No space left on device" if used + size > self.faults.space else None

    def wait_for_link(self, size: int) -> None:
        if self.faults.bytes_per_second:
            time.sleep(size / self.faults.bytes_per_second)

    def on_gpu(self, output: np.ndarray) -> np.ndarray:
        """What the GPU gives in place of an exact output."""
        if self.gpu == "constant":
            return np.full_like(output, 1 / output.size)
        return output.astype(np.float16).astype(output.dtype)

    def thermal_status(self) -> int:
        return self.status.pop(0) if len(self.status) > 1 else self.status[0]

    @property
    def left_behind(self) -> list[str]:
        """Files and folders in the temporary folder and in the app's storage."""
        return sorted(
            str(file.relative_to(self.folder))
            for folder in (TEMPORARY, STORAGE)
            for file in self.path(folder).rglob("*")
            if file.is_file() or folder == TEMPORARY
        )

    @property
    def properties(self) -> dict[str, str]:
        return {
            "ro.product.manufacturer": "Pretended",
            "ro.product.model": self.model,
            "ro.soc.manufacturer": "Pretended",
            "ro.soc.model": "PT1000",
            "ro.build.version.release": "14",
            "ro.build.version.sdk": str(self.sdk),
            "ro.product.cpu.abi": self.abi,
            "ro.product.cpu.abilist": self.abis or self.abi,
            "ro.build.fingerprint": "pretended/pt/pt:14/TEST/1:user/release-keys",
        }
