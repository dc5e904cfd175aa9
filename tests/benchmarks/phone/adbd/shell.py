"""The pretended phone's shell: the few programs that pmsi-bench calls, and no other.

No command reaches the test's own system; paths are looked up in the phone's folder.
"""

import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.phone.adbd import am
from tests.benchmarks.phone.adbd.benchmark_model import MACHINES, run_tool
from tests.benchmarks.phone.adbd.phone import STORAGE, Phone


@dataclass(frozen=True)
class Result:
    code: int = 0
    output: str = ""
    errors: str = ""


def run_command(phone: Phone, command: str, *, one_stream: bool = False) -> Result:
    """Run a line of programs joined by `;`, `&&` and `||`. one_stream: errors go where the output goes, in order."""
    words = shlex.shlex(command, posix=True, punctuation_chars=";")
    words.whitespace_split = True
    output, errors, code = "", "", 0
    line: list[str] = []
    skip = False
    for word in [*words, ";"]:
        if word not in (";", "&&", "||"):
            line.append(word.replace("$?", str(code)))
            continue
        if line and not skip:
            result = _run(phone, line)
            code = result.code
            output += result.output + (result.errors if one_stream else "")
            errors += "" if one_stream else result.errors
        skip, line = (word == "&&" and code != 0) or (word == "||" and code == 0), []
    return Result(code, output, errors)


def _run(phone: Phone, words: list[str]) -> Result:
    to_output = "2>&1" in words
    name, *arguments = [word for word in words if word != "2>&1"]
    phone.step(name.rpartition("/")[2], " ".join(arguments))
    program = _PROGRAMS.get(name)
    if program:
        result = program(phone, arguments)
    elif "/" in name:
        result = _execute(phone, name, arguments)
    else:
        result = Result(127, "", f"/system/bin/sh: {name}: inaccessible or not found\n")
    return Result(result.code, result.output + result.errors) if to_output else result


def _execute(phone: Phone, name: str, arguments: list[str]) -> Result:
    file = phone.path(name)
    shell = "/system/bin/sh: "
    if not file.is_file():
        return Result(127, "", f"{shell}{name}: inaccessible or not found\n")
    if phone.faults.no_execute or not file.stat().st_mode & 0o100:
        return Result(126, "", f"{shell}{name}: can't execute: Permission denied\n")
    header = file.read_bytes()[:20]
    if header[:4] != b"\x7fELF" or int.from_bytes(header[18:20], "little") != MACHINES[phone.abi]:
        bits = 32 if header[4] == 1 else 64
        return Result(126, "", f"{shell}{name}: not executable: {bits}-bit ELF file\n")
    phone.step("run", name)
    code, output = run_tool(phone, arguments)
    phone.step("ran", name)
    return Result(code, output)


def _getprop(phone: Phone, arguments: list[str]) -> Result:
    return Result(0, "".join(f"[{key}]: [{value}]\n" for key, value in phone.properties.items()))


def _grep(phone: Phone, arguments: list[str]) -> Result:
    assert arguments[:2] == ["-H", "."]
    files = _expanded(phone, arguments[2:])
    return Result(0, "".join(f"/{file.relative_to(phone.folder)}:{file.read_text()}" for file in files))


def _expanded(phone: Phone, patterns: list[str]) -> list[Path]:
    """The files that the patterns mean; a link that leads out of the phone's folder is refused."""
    found = [file for pattern in patterns for file in sorted(phone.folder.glob(pattern.lstrip("/")))]
    return [phone.path(str(file.relative_to(phone.folder))) for file in found]


def _dumpsys(phone: Phone, arguments: list[str]) -> Result:
    if arguments == ["battery"]:
        return Result(0, "Current Battery Service state:\n  level: 83\n  scale: 100\n  temperature: 271\n")
    if arguments == ["power"]:
        return Result(0, f"Power Manager State:\n  mWakefulness={'Awake' if phone.awake else 'Asleep'}\n")
    if arguments == ["thermalservice"] and phone.sdk >= 29:
        status = phone.thermal_status()
        cpu = max(status, phone.cpu_status)
        if not phone.sensors:
            return Result(0, "Thermal Status: 0\nCached temperatures:\nHAL Ready: false\n")
        return Result(
            0,
            f"IsStatusOverride: false\nThermal Status: {status}\nCached temperatures:\n"
            "\tTemperature{mValue=99.0, mType=0, mName=OLD, mStatus=0}\nHAL Ready: true\n"
            "Current temperatures from HAL:\n"
            f"\tTemperature{{mValue={31.5 + 6 * status}, mType=0, mName=CPU0, mStatus={cpu}}}\n"
            "\tTemperature{mValue=83.0, mType=8, mName=socd, mStatus=0}\n"
            "\tTemperature{mValue=4384.0, mType=6, mName=vbat, mStatus=0}\n"
            f"\tTemperature{{mValue={28.25 + 4 * status}, mType=3, mName=skin, mStatus={status}}}\n"
            "Current cooling devices from HAL:\n\tCoolingDevice{mValue=0, mType=2, mName=cpu}\n"
            "Temperature static thresholds from HAL:\n",
        )
    return Result(0, f"Can't find service: {' '.join(arguments)}\n")


def _cmd(phone: Phone, arguments: list[str]) -> Result:
    assert arguments[:2] == ["power", "set-fixed-performance-mode-enabled"]
    if not phone.fixed_performance_settable:
        return Result(255, "", "Failed to set FIXED_PERFORMANCE mode\n")
    phone.fixed_performance = arguments[2] == "true"
    return Result()


def _taskset(phone: Phone, arguments: list[str]) -> Result:
    mask, *command = arguments
    int(mask, 16)
    return _run(phone, command)


def _settings(phone: Phone, arguments: list[str]) -> Result:
    verb, space, key, *value = arguments
    assert space == "global"
    if verb == "get":
        return Result(0, f"{phone.settings.get(key, 'null')}\n")
    [phone.settings[key]] = value
    return Result()


def _input(phone: Phone, arguments: list[str]) -> Result:
    assert arguments == ["keyevent", "KEYCODE_WAKEUP"]
    phone.awake |= phone.wakes
    return Result()


def _mkdir(phone: Phone, arguments: list[str]) -> Result:
    path = arguments[-1]
    if phone.refusal(path):
        return Result(1, "", f"mkdir: '{path}': Permission denied\n")
    phone.path(path).mkdir(parents=True, exist_ok=True)
    return Result()


def _rm(phone: Phone, arguments: list[str]) -> Result:
    for path in _expanded(phone, [word for word in arguments if not word.startswith("-")]):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return Result()


def _cp(phone: Phone, arguments: list[str]) -> Result:
    source, target = arguments
    problem = phone.lack_of_space(target, phone.path(source).stat().st_size)
    if problem:
        return Result(1, "", f"cp: {target}: {problem.partition(': ')[2]}\n")
    shutil.copyfile(phone.path(source), phone.path(target))
    return Result()


def _chmod(phone: Phone, arguments: list[str]) -> Result:
    mode, path = arguments
    phone.path(path).chmod(int(mode, 8))
    return Result()


def _ls(phone: Phone, arguments: list[str]) -> Result:
    [path] = arguments
    if path.startswith(STORAGE) and phone.app.behaviour == "is hidden":
        return Result(1, "", f"ls: {path}: Permission denied\n")
    if phone.path(path).exists():
        return Result(0, f"{path}\n")
    return Result(1, "", f"ls: {path}: No such file or directory\n")


def _echo(phone: Phone, arguments: list[str]) -> Result:
    return Result(0, " ".join(arguments) + "\n")


def _pkill(phone: Phone, arguments: list[str]) -> Result:
    return Result(1)


def _app(program: Callable[[Phone, list[str]], tuple[int, str]]) -> Callable[[Phone, list[str]], Result]:
    return lambda phone, arguments: Result(*program(phone, arguments))


_PROGRAMS: dict[str, Callable[[Phone, list[str]], Result]] = {
    "getprop": _getprop,
    "grep": _grep,
    "dumpsys": _dumpsys,
    "cmd": _cmd,
    "taskset": _taskset,
    "settings": _settings,
    "input": _input,
    "mkdir": _mkdir,
    "cp": _cp,
    "rm": _rm,
    "chmod": _chmod,
    "ls": _ls,
    "echo": _echo,
    "pkill": _pkill,
    "am": _app(am.am),
    "pm": _app(am.pm),
    "pidof": _app(am.pidof),
    "logcat": _app(am.logcat),
}
