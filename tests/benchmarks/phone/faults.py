"""Faults planted in a pretended phone, and what pmsi-bench makes of each.

python -m tests.benchmarks.phone.faults benchmarks/FAULTS.md    # plants them all and writes the page
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest import mock

from pmsi_bench.phone import adb as adb_module
from pmsi_bench.phone import app as app_module
from pmsi_bench.phone import thermal as thermal_module
from pmsi_bench.phone import tool as tool_module
from pmsi_bench.reports.phone_table import remarks
from pmsi_bench.results.phone_result import DeviceResult
from pmsi_mobile.files import write_text
from pmsi_mobile.provenance import versions
from tests.benchmarks.command import pmsi_bench
from tests.benchmarks.phone.adbd.phone import App, Faults, Phone
from tests.benchmarks.phone.adbd.server import adb_server
from tests.benchmarks.phone.workbench import make_models, make_tool, plugged_in

MARKS = ("<!-- faults -->\n", "<!-- /faults -->\n")


@dataclass(frozen=True)
class Fault:
    """says: a part of what the command says: of its error, or of a remark where it ends well. kept: rows with figures,
    of two.

    phone: what is wrong with it, as fields of Phone. phones: how many are connected. adbd, state: how the daemon
    behaves, and as what adb sees it. abi: of the program. settings: times of the product, shorter.
    """

    name: str
    planted: str
    says: str
    code: int = 1
    kept: int = 0
    left: bool = False
    phone: dict[str, object] = field(default_factory=dict)
    phones: int = 1
    adbd: dict[str, object] = field(default_factory=dict)
    state: str = "device"
    abi: str = "arm64-v8a"
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    settings: tuple[tuple[ModuleType, str, float], ...] = ()

    @property
    def title(self) -> str:
        return f"{self.name}: {self.planted}"


class Outcome(NamedTuple):
    """errors: lines that begin with `error: `. left: whether something of ours is still on the phone."""

    code: int
    errors: int
    said: list[str]
    kept: int
    left: bool


def faulty(**what: object) -> dict[str, object]:
    return {"faults": Faults(**what)}


APP = ("--runner", "app")
COOL = ((thermal_module, "COOL_SECONDS", 0.1), (thermal_module, "POLL_SECONDS", 0.02))
GONE = "was disconnected while"
# Shorter than what is silent stays so, and long enough for a busy machine to run what is not.
PATIENCE = ((tool_module, "SECONDS", 5), (adb_module, "ANSWER_SECONDS", 2))
FAULTS = [
    Fault("no adb", "no adb server runs, and ADBUTILS_ADB_PATH names a program that is no adb",
          "no adb server can be reached or started", code=2, phones=0,
          environment={"ANDROID_ADB_SERVER_PORT": "1", "ADBUTILS_ADB_PATH": "/bin/false"}),
    Fault("no device", "no phone is connected", "no device is connected", code=2, phones=0),
    Fault("not allowed", "the phone's adbd accepts no key", "has not allowed this computer", code=2,
          adbd={"authorised": False}, state="unauthorized"),
    Fault("offline", "the phone's adbd never answers", "is offline", code=2, adbd={"answer": False}, state="offline"),
    Fault("two devices", "two phones, no serial number given", "2 devices are connected, choose one", code=2, phones=2),
    Fault("another serial", "--device adb:ABC", "device ABC is not connected: adb sees", code=2,
          arguments=("--device", "adb:ABC")),
    Fault("program for another ABI", "an x86_64 benchmark_model for an arm64 phone",
          "is for x86_64, the phone runs arm64-v8a", code=2, abi="x86_64"),
    Fault("program for another ABI", "an armeabi-v7a one on a phone that lists that ABI and cannot run it",
          "is built for another ABI than the phone's", abi="armeabi-v7a",
          phone={"abis": "arm64-v8a,armeabi-v7a"}),
    Fault("no permission to execute", "the shell may not execute files of the temporary folder",
          "may not be executed on the phone", phone=faulty(no_execute=True)),
    Fault("no permission to write", "the temporary folder is read-only",
          "does not let adb make /data/local/tmp/pmsi-bench", phone=faulty(read_only=True)),
    Fault("full disk", "the program does not fit", "No space left on device: free some space",
          phone=faulty(space=100)),
    Fault("full disk", "the program fits, the larger model does not", "No space left on device: free some space",
          kept=1, phone=faulty(space=300_000)),
    Fault("unplugged", "while the phone is asked who it is", f"{GONE} running getprop",
          phone=faulty(drop=("getprop", 1))),
    Fault("unplugged", "while the program is pushed", f"{GONE} writing",
          left=True, phone=faulty(drop=("push data", 1))),
    Fault("unplugged", "at chmod", f"{GONE} running chmod", left=True, phone=faulty(drop=("chmod", 1))),
    Fault("unplugged", "while the second model is pushed", f"{GONE} writing",
          left=True, phone=faulty(drop=("push", 3))),
    Fault("unplugged", "when the first round begins", f"{GONE} running benchmark_model",
          left=True, phone=faulty(drop=("run", 1))),
    Fault("unplugged", "at the end of the second round's first run", GONE, kept=2,
          left=True, phone=faulty(drop=("ran", 3))),
    Fault("unplugged", "while golden samples are pushed", f"{GONE} writing", kept=2,
          left=True, phone=faulty(drop=("push", 5))),
    Fault("unplugged", "while outputs are pulled", f"{GONE} reading", kept=2,
          left=True, phone=faulty(drop=("pull", 1))),
    Fault("unplugged", "while the profile is pulled", f"{GONE} reading", kept=2,
          left=True, phone=faulty(drop=("pull", 4))),
    # The folder is removed at the start too.
    Fault("unplugged", "when the folder is removed at the end", "may still be on", code=0, kept=2, left=True,
          phone=faulty(drop=("rm", 6))),
    Fault("silent", "the phone answers nothing from the second round on", "stopped answering while", kept=2, left=True,
          phone=faulty(silent=("run", 3)), settings=PATIENCE),
    Fault("program hangs", "the first file's second run does not end", "benchmark_model did not end within 5 s", kept=2,
          phone=faulty(hang=("run", 4)), settings=PATIENCE),
    Fault("slow link", "500 kB a second", "warmest sensor", code=0, kept=2, phone=faulty(bytes_per_second=500_000)),
    Fault("Ctrl-C", "in the second round", "interrupted", code=130, phone=faulty(interrupt=("run", 3))),
    Fault("hot from the start", "thermal status 3 does not fall", "did not cool down before the start", code=0, kept=2,
          phone={"status": [3]}, settings=COOL),
    Fault("throttles", "thermal status 2 after the first round", "the phone throttled in one of the rounds", code=0,
          kept=2, phone={"status": [0, 2, 0]}, settings=COOL),
    Fault("no sensors", "a thermal service without sensors, which says 0", "does not say how warm it is", code=0,
          kept=2, phone={"sensors": False}),
    Fault("CPU throttles", "the phone's status stays 0, its CPU's is 2",
          "did not cool down before the start (thermal status 2)", code=0, kept=2, phone={"cpu_status": 2},
          settings=COOL),
    Fault("dark screen", "no key wakes it", "the screen was off", code=0, kept=2, phone={"wakes": False}),
    Fault("battery saver", "it is on", "the battery saver was on", code=0, kept=2,
          phone={"settings": {"low_power": "1"}}),
    Fault("GPU refuses", "an operator that the GPU delegate does not know", "Failed to apply GPU delegate",
          phone={"gpu": "refused"}, arguments=("--delegate", "gpu")),
    Fault("no NNAPI", "a benchmark_model of which NNAPI is no part any more",
          "this build of benchmark_model knows no nnapi", arguments=("--delegate", "nnapi")),
    Fault("no NNAPI", "a phone without an accelerator behind NNAPI: the program computes with XNNPACK instead",
          "NNAPI executes nothing of the file on this phone", phone={"build": "old"},
          arguments=("--delegate", "nnapi")),
    Fault("GPU computes nonsense", "the GPU delegate gives the same output for every image",
          "outputs of the phone fail their gate", kept=2, phone={"gpu": "constant"}, arguments=("--delegate", "gpu")),
    Fault("old program", "a benchmark_model that writes no outputs",
          "on-device parity not measured, this build of benchmark_model writes no outputs", code=0, kept=2,
          phone={"build": "old"}),
    Fault("program writes nothing", "a benchmark_model that takes the flag for outputs and writes none",
          "on-device parity not measured, this build of benchmark_model writes no outputs", code=0, kept=2,
          phone={"build": "writes nothing"}),
    Fault("app missing", "the demo app is not installed", "the demo app is not on", code=2,
          phone={"app": App(installed=False)}, arguments=APP),
    Fault("app crashes", "its screen cannot be opened", "the app crashed: java.lang.RuntimeException: Unable to start",
          phone={"app": App(behaviour="crashes")}, arguments=APP),
    Fault("app crashes", "its native code aborts", "the app crashed: Abort message: 'clCreateBuffer",
          phone={"app": App(behaviour="aborts")}, arguments=APP),
    Fault("app crashes", "its native code reads where nothing is", "the app crashed: signal 11 (SIGSEGV)",
          phone={"app": App(behaviour="breaks off")}, arguments=APP),
    Fault("app crashes", "Android kills it without a word, an older crash is in the log",
          "adb logcat -b crash may say why, or it was killed", phone={"app": App(behaviour="is killed")},
          arguments=APP),
    Fault("app hidden", "Android keeps the app's folder from adb", "does not let adb into",
          phone={"app": App(behaviour="is hidden")}, arguments=APP),
    Fault("app hangs", "it never writes a result", "the app gave no result within",
          phone={"app": App(behaviour="hangs")},
          arguments=APP, settings=((app_module, "SECONDS", 0.3), (app_module, "POLL_SECONDS", 0.05))),
    Fault("app refuses", "the phone has too little memory for the file",
          "the app says: ckpt.tflite needs more memory than this device has.",
          phone={"app": App(behaviour="runs out of memory")}, arguments=APP),
    Fault("app refuses", "the runtime fails in an inference", "the app says: ckpt.tflite does not run: Internal error",
          phone={"app": App(behaviour="fails to run")}, arguments=APP),
    Fault("app refuses", "the runtime does not open the file", "the app says: LiteRT cannot open ckpt.tflite: ",
          phone={"app": App(behaviour="cannot open")}, arguments=APP),
    Fault("app refuses", "it was built without the runtime",
          "the app says: ckpt.tflite needs LiteRT, which is not built into this app.",
          phone={"app": App(runtimes=("onnxruntime",))}, arguments=APP),
    Fault("app falls back", "an operator that the GPU delegate does not know: it computes on the CPU instead",
          "the app fell back: gpu could not be used, ran on cpu: Internal error: Failed to apply delegate",
          phone={"gpu": "refused"}, arguments=(*APP, "--delegate", "gpu")),
    Fault("app falls back", "from the second round on", "the app fell back: gpu could not be used", kept=2,
          phone={"app": App(gpu_opens=2)}, arguments=(*APP, "--delegate", "gpu")),
    Fault("GPU computes nonsense", "in the app", "outputs of the phone fail their gate", kept=2,
          phone={"gpu": "constant"}, arguments=(*APP, "--delegate", "gpu")),
    Fault("app garbles", "its result is no JSON", "the app's result cannot be read",
          phone={"app": App(behaviour="garbles")}, arguments=APP),
    Fault("unplugged", "while the app's result is pulled", f"{GONE} reading", left=True, phone=faulty(drop=("pull", 1)),
          arguments=APP),
]  # fmt: skip


def run(fault: Fault, settings: dict[str, str], models: Path, scratch: Path) -> Outcome:
    """Plant the fault and run the command on it. settings: of the adb server. scratch: an empty folder."""
    phones = [Phone(scratch / f"phone{number}", **fault.phone) for number in range(fault.phones)]
    arguments = [
        models / "ckpt.tflite", models / "ckpt-int8.tflite", "--device", "adb",
        "--benchmark-model", make_tool(scratch, fault.abi), "--rounds", 2, "--runs", 5, "--json", *fault.arguments,
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", settings | fault.environment))
        for module, name, value in fault.settings:
            stack.enter_context(mock.patch.object(module, name, value))
        for phone in phones:
            stack.enter_context(plugged_in(settings, phone, state=fault.state, **fault.adbd))
        shown = pmsi_bench(*arguments)
    result = DeviceResult.model_validate_json(shown.out) if shown.out else None
    return Outcome(
        code=shown.code,
        errors=sum(line.startswith("error: ") for line in shown.err.splitlines()),
        said=[*(_plain(line) for line in _said(shown.err, result))],
        kept=sum(row.figures is not None for row in result.rows) if result else 0,
        left=any(phone.left_behind for phone in phones),
    )


def _said(errors: str, result: DeviceResult | None) -> Iterator[str]:
    yield from (line.removeprefix("error: ") for line in errors.splitlines())
    yield from remarks(result) if result else ()


def _plain(line: str) -> str:
    """Without what differs from run to run."""
    line = re.sub(r"127\.0\.0\.1:\d+", "SERIAL", line)
    return re.sub(r"/\S*/(benchmark_model_\S+)", r"\1", line)


def table(settings: dict[str, str], scratch: Path) -> str:
    """All faults and what became of each, in Markdown. Raises ValueError for one that ends otherwise than expected."""
    lines = ["| fault | planted | exit code | what the command says | rows kept, of 2 | left on the phone |"]
    lines.append("|---|---|---|---|---|---|")
    models = make_models(scratch / "models")
    for number, fault in enumerate(FAULTS):
        folder = scratch / str(number)
        folder.mkdir()
        outcome = run(fault, settings, models, folder)
        said = next((line for line in outcome.said if fault.says in line), None)
        if said is None or (outcome.code, outcome.kept, outcome.left) != (fault.code, fault.kept, fault.left):
            raise ValueError(f"{fault.title}: {outcome}")
        left = "our folder" if outcome.left else "nothing"
        lines.append(f"| {fault.name} | {fault.planted} | {outcome.code} | {said} | {outcome.kept} | {left} |")
    made = ", ".join(f"{name} {version}" for name, version in versions("adbutils", "ai-edge-litert").items())
    return "\n".join([*lines, "", f"Made with {made}."]) + "\n"


def rows(page: str) -> list[tuple[str, ...]]:
    """Fault, place, exit code, rows kept and what is left, of every row of the page."""
    text = page.partition(MARKS[0])[2].partition(MARKS[1])[0]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(name, planted, code, kept, left) for name, planted, code, _, kept, left in cells[1:]]


if __name__ == "__main__":
    page = Path(sys.argv[1])
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    with tempfile.TemporaryDirectory() as name, adb_server(Path(name) / "adb") as server:
        made = table(server, Path(name))
    write_text(page, "".join((before, MARKS[0], made, MARKS[1], after)))
