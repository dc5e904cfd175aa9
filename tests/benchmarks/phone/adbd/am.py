"""The pretended demo app, behind `am`, `pm`, `pidof` and `logcat`: what its benchmark does."""

import hashlib
import json

from tests.benchmarks.phone.adbd.phone import STORAGE, Phone

PACKAGE = "org.pmsi.mobile.demo"
FILES = f"{STORAGE}/{PACKAGE}/files"
_PID = "4242\n"
_CRASHES = {
    "crashes": (
        f"E AndroidRuntime: Process: {PACKAGE}, PID: 4242\n"
        "E AndroidRuntime: java.lang.OutOfMemoryError: Failed to allocate a 96 MB allocation\n"
        f"E AndroidRuntime: \tat {PACKAGE}.BenchmarkActivity.onCreate(BenchmarkActivity.kt:41)\n"
    ),
    "aborts": (
        "F libc    : Fatal signal 6 (SIGABRT), code -1 (SI_QUEUE) in tid 4250 (models), pid 4242 (.mobile.demo)\n"
        f"F DEBUG   : pid: 4242, tid: 4250, name: models  >>> {PACKAGE} <<<\n"
        "F DEBUG   : signal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\n"
        "F DEBUG   : Abort message: 'clCreateBuffer: out of resources'\n"
    ),
    "breaks off": (
        f"F DEBUG   : pid: 4242, tid: 4250, name: models  >>> {PACKAGE} <<<\n"
        "F DEBUG   : signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0000000000000010\n"
    ),
    "is killed": "",
}
"""What the log of crashes says of each way to end."""


def am(phone: Phone, arguments: list[str]) -> tuple[int, str]:
    if arguments == ["force-stop", PACKAGE]:
        phone.app.running = False
        return 0, ""
    if arguments == ["start", "-W", "-n", f"{PACKAGE}/.MainActivity"]:
        phone.path(f"{FILES}/models").mkdir(parents=True, exist_ok=True)
        return 0, "Status: ok\n"
    assert arguments[:4] == ["start", "-W", "-n", f"{PACKAGE}/.BenchmarkActivity"]
    extras = {arguments[index + 1]: arguments[index + 2] for index in range(4, len(arguments), 3)}
    starting = f"Starting: Intent {{ cmp={PACKAGE}/.BenchmarkActivity (has extras) }}\n"
    if not phone.app.installed:
        return 1, f"{starting}Error type 3\nError: Activity class {{{PACKAGE}/.BenchmarkActivity}} does not exist.\n"
    phone.app.running = phone.app.behaviour not in _CRASHES
    if phone.app.behaviour not in (*_CRASHES, "hangs"):
        _write_result(phone, extras)
    return 0, f"{starting}Status: ok\nLaunchState: COLD\nTotalTime: 312\nComplete\n"


def pm(phone: Phone, arguments: list[str]) -> tuple[int, str]:
    assert arguments == ["path", PACKAGE]
    return (0, f"package:/data/app/{PACKAGE}/base.apk\n") if phone.app.installed else (1, "")


def pidof(phone: Phone, arguments: list[str]) -> tuple[int, str]:
    return (0, _PID) if phone.app.running else (1, "")


def logcat(phone: Phone, arguments: list[str]) -> tuple[int, str]:
    if arguments == ["-b", "crash", "-c"]:
        phone.app.old_crash = ""
        return 0, ""
    return 0, f"--------- beginning of crash\n{phone.app.old_crash}{_CRASHES.get(phone.app.behaviour, '')}"


def _write_result(phone: Phone, extras: dict[str, str]) -> None:
    model = phone.path(f"{FILES}/models/{extras['model']}")
    runs = int(extras["runs"])
    gpu = extras["delegate"] == "gpu"
    result = {
        "schema_version": 1,
        "app_version": "1.0",
        "model": extras["model"],
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "runtime": extras["runtime"],
        "runtime_version": "2.16.1",
        "delegate": extras["delegate"],
        "delegate_note": "2 operators ran on the CPU" if gpu else None,
        "threads": int(extras["threads"]),
        "load_ms": 12.5,
        "first_inference_ms": 20.25,
        "warmup": int(extras["warmup"]),
        "latencies_ns": [4_000_000 + 10_000 * (run % 7) for run in range(runs)],
        "memory": {"rss_before_bytes": 90_000_000, "rss_peak_bytes": 130_000_000},
        "thermal_status_before": 0,
        "thermal_status_after": 2 if phone.app.behaviour == "throttles" else 0,
        "device": {
            "manufacturer": "Pretended",
            "model": phone.model,
            "soc": "PT1000",
            "android": "14",
            "sdk": phone.sdk,
            "abi": phone.abi,
        },
        "golden": _golden(phone, extras["model"]),
        "error": None,
    }
    if phone.app.behaviour == "refuses":
        result |= dict.fromkeys(("load_ms", "first_inference_ms", "latencies_ns", "memory", "golden"))
        result["error"] = "The GPU of this phone cannot run the model: choose the CPU."
    text = "<html>" if phone.app.behaviour == "garbles" else json.dumps(result)
    file = phone.path(f"{FILES}/results/{extras['result']}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _golden(phone: Phone, name: str) -> list[list[float]] | None:
    from pmsi_export.contract.golden_samples import golden_of
    from pmsi_export.formats.open import load_file, read_contract

    model = phone.path(f"{FILES}/models/{name}")
    golden = golden_of(model, read_contract(model))
    if golden is None:
        return None
    runner = load_file(model, 1, verify=False)
    return [[float(value) for value in runner.predict(image)] for image in golden.images]
