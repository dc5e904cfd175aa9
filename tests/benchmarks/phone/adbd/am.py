"""The pretended demo app as `am`, `pm`, `pidof` and `logcat` show it."""

import json

from tests.benchmarks.phone.adbd.demo_app import FILES, PACKAGE, benchmark
from tests.benchmarks.phone.adbd.phone import Phone

_PID = "4242\n"
_CRASHES = {
    "crashes": (
        f"E AndroidRuntime: FATAL EXCEPTION: main\nE AndroidRuntime: Process: {PACKAGE}, PID: 4242\n"
        "E AndroidRuntime: java.lang.RuntimeException: Unable to start activity "
        f"ComponentInfo{{{PACKAGE}/{PACKAGE}.BenchmarkActivity}}: android.content.res.Resources$NotFoundException\n"
        "E AndroidRuntime: \tat android.app.ActivityThread.performLaunchActivity(ActivityThread.java:3645)\n"
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
    text = "<html>" if phone.app.behaviour == "garbles" else json.dumps(benchmark(phone, extras))
    file = phone.path(f"{FILES}/results/{extras['result']}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
