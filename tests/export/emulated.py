"""Exported files on processors that are not at hand, under qemu-user 10.

aarch64: an arm64 Python of Debian and arm64 wheels of what the small install needs. avx2: an x86 without AVX-512 and
VNNI (Haswell), this Python and its packages.

python -m tests.export.emulated fetch FOLDER                      # Debian 12 on x86_64: all of it, 0.4 GB
python -m tests.export.emulated check FOLDER aarch64 MODEL...     # the gates on the golden samples beside the models

Nothing is installed: the packages are unpacked in FOLDER. Times under qemu say nothing.
"""

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_export.checks.gates import GATES, agreement
from pmsi_export.contract.golden_samples import golden_of
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.runtime.runner import Image, Runner
from pmsi_mobile.errors import PmsiError

VARIABLE = "PMSI_QEMU"
"""Environment variable that names the fetched folder for the tests."""
EMULATORS = {"aarch64": "qemu-aarch64", "avx2": "qemu-x86_64"}
"""Processor -> the program of qemu that emulates it."""
SUFFIXES = (".tflite", ".onnx")
_KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCES = f"""\
deb [arch=amd64,arm64 signed-by={_KEY}] http://deb.debian.org/debian bookworm main
deb [arch=amd64 signed-by={_KEY}] http://deb.debian.org/debian bookworm-backports main
"""
# qemu 7.2, Debian 12's own, crashes in LiteRT.
_QEMU = "qemu-user/bookworm-backports"
_DEBS = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6",
    "zlib1g", "libexpat1", "libssl3", "libffi8", "libbz2-1.0", "liblzma5", "libuuid1", "libcrypt1",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]
_SECONDS = 600


def fetch(folder: Path) -> None:
    """Fill the folder by apt-get and uv, with states of their own; wheels in the versions of constraints.txt."""
    state, debs = folder / "apt", folder / "debs"
    for path in (debs, state / "lists/partial", state / "archives/partial"):
        path.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources.list").write_text(_SOURCES)
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "APT::Architecture": "amd64",
        "APT::Architectures::": "arm64",
    }
    apt = ["apt-get", "-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run([*apt, "download", _QEMU, *(f"{name}:arm64" for name in _DEBS)], check=True, cwd=debs)
    for deb in debs.iterdir():
        target = folder / ("root" if deb.name.endswith("_arm64.deb") else "qemu")
        subprocess.run(["dpkg-deb", "-x", deb, target], check=True)
    for emulator in (folder / "qemu/usr/bin").glob("qemu-*"):
        if emulator.name not in EMULATORS.values():
            emulator.unlink()
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--target", folder / "site", "--python-platform",
         "aarch64-manylinux_2_28", "--python-version", "3.11", "--only-binary", ":all:",
         "--constraint", _ROOT / "constraints.txt", "--requirement", _ROOT / "pyproject.toml",
         "--extra", "litert", "--extra", "onnxruntime"],
        check=True,
    )  # fmt: skip


def why_not(folder: str | None, processor: str) -> str | None:
    """Why nothing can be run on the processor here."""
    if not folder:
        return f"{VARIABLE} names no folder with qemu and arm64 runtimes: python -m tests.export.emulated fetch FOLDER"
    qemu, *_, python = _command(Path(folder), processor)
    missing = next((program for program in (qemu, python) if not Path(program).exists()), None)
    if missing:
        return f"{missing} is not there: python -m tests.export.emulated fetch {folder}"
    if processor == "avx2" and platform.machine() != "x86_64":
        return "this Python is not for x86_64"
    return None


def probabilities(
    folder: Path, processor: str, model: Path, images: NDArray[np.uint8], *options: str
) -> NDArray[np.float32]:
    """What the model gives on the processor for images uint8 [N, H, W, 3]: float32 [N, K].

    options: `key=value` for ONNX Runtime's session. Raises PmsiError.
    """
    prepare = load_file(model, verify=False).prepare
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "in.npy", Path(scratch) / "out.npy"
        np.save(source, np.stack([prepare(image) for image in images]))
        child = Path(__file__).with_name("emulated_child.py")
        done = run(folder, processor, child, model.resolve(), source, target, *options)
        if done.returncode:
            raise PmsiError(f"{model.name} does not run on {processor}: {done.stderr.strip().splitlines()[-1]}")
        given: NDArray[np.float32] = np.load(target)
        return given


def run(folder: Path, processor: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the processor's Python with the arguments; this project can be imported there."""
    return subprocess.run(
        [*_command(folder, processor), *map(str, arguments)],
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip


def runner_of(outputs: NDArray[np.float32]) -> Runner:
    """Gives them one after the other, for the gates."""
    rows = iter(outputs)

    def run(_: Image) -> NDArray[np.float32]:
        return next(rows)

    return Runner(prepare=lambda image: image, run=run)


def _command(folder: Path, processor: str) -> list[str]:
    qemu = str(folder / "qemu/usr/bin" / EMULATORS[processor])
    if processor == "avx2":
        # qemu has no transactional memory, and says so.
        return [qemu, "-cpu", "Haswell-noTSX", sys.executable]
    root, site = folder / "root", folder / "site"
    places = ":".join(map(str, (_ROOT, _ROOT / "export", site)))
    return [qemu, "-L", str(root), "-E", f"PYTHONPATH={places}", str(root / "usr/bin/python3.11")]


def _check(folder: Path, processor: str, model: Path) -> str:
    """A row of the table."""
    contract = read_contract(model)
    golden = golden_of(model, contract)
    if golden is None:
        raise PmsiError(f"no golden samples are beside {model}")
    given = probabilities(folder, processor, model, golden.images)
    here = np.stack([load_file(model, verify=False).predict(image) for image in golden.images])
    measured = agreement(runner_of(given), golden.images, golden.probabilities)
    misses = GATES[contract.precision].misses(measured)
    noise = "none" if measured.sqnr_db is None else f"{measured.sqnr_db:.1f}"
    return (
        f"| {model.name} | {contract.precision} | {'failed: ' + ', '.join(misses) if misses else 'passed'} "
        f"| {measured.max_abs_difference:.2g} | {measured.top1_agreement:.0%} | {noise} "
        f"| {np.abs(given - here).max():.2g} |"
    )


if __name__ == "__main__":
    verb, place, *rest = sys.argv[1:]
    if verb == "fetch":
        fetch(Path(place).resolve())
        print(f"next: {VARIABLE}={os.path.abspath(place)} pytest tests/export/test_emulated.py")
    else:
        print("| file | precision | gate | max abs difference | top-1 agreement | SQNR dB | from this host's output |")
        print("|---|---|---|---|---|---|---|")
        processor, *models = rest
        for path in models:
            print(_check(Path(place).resolve(), processor, Path(path)), flush=True)
