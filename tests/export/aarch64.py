"""Exported files as aarch64: qemu-user 10, an arm64 Python of Debian and arm64 wheels of the runtimes.

python -m tests.export.aarch64 fetch FOLDER              # Debian 12 on x86_64: fetch all of it into FOLDER, 0.3 GB
python -m tests.export.aarch64 check FOLDER MODEL...     # the gates on the golden samples beside the models

Nothing is installed: the packages are unpacked in FOLDER. Times under qemu say nothing about a phone.
"""

import os
import shutil
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

VARIABLE = "PMSI_AARCH64"
"""Environment variable that names the fetched folder for the tests."""
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
_WHEELS = ("ai-edge-litert", "onnxruntime", "numpy", "flatbuffers", "protobuf", "backports-strenum", "tqdm",
           "typing-extensions")  # fmt: skip
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
    # Of the emulators of all processors one is wanted.
    for emulator in (folder / "qemu/usr/bin").glob("qemu-*"):
        if emulator.name != "qemu-aarch64":
            emulator.unlink()
    constraints = Path(__file__).parents[2] / "constraints.txt"
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--target", folder / "site", "--python-platform",
         "aarch64-manylinux_2_28", "--python-version", "3.11", "--only-binary", ":all:", "--no-deps",
         "--constraint", constraints, *_WHEELS],
        check=True,
    )  # fmt: skip


def why_not(folder: str | None) -> str | None:
    """Why nothing can be run as aarch64 here."""
    if not folder:
        return f"{VARIABLE} names no folder with qemu and arm64 runtimes: python -m tests.export.aarch64 fetch FOLDER"
    qemu = _command(Path(folder))[0]
    if not shutil.which(qemu):
        return f"{qemu} is not there: python -m tests.export.aarch64 fetch {folder}"
    return None


def probabilities(folder: Path, model: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the model gives as aarch64 for images uint8 [N, H, W, 3]: float32 [N, K]. Raises PmsiError."""
    prepare = load_file(model, verify=False).prepare
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "in.npy", Path(scratch) / "out.npy"
        np.save(source, np.stack([prepare(image) for image in images]))
        child = Path(__file__).with_name("aarch64_child.py")
        done = subprocess.run(
            [*_command(folder), child, model.resolve(), source, target],
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            raise PmsiError(f"{model.name} does not run as aarch64: {done.stderr.strip().splitlines()[-1]}")
        given: NDArray[np.float32] = np.load(target)
        return given


def runner_of(outputs: NDArray[np.float32]) -> Runner:
    """Gives them one after the other, for the gates."""
    rows = iter(outputs)

    def run(_: Image) -> NDArray[np.float32]:
        return next(rows)

    return Runner(prepare=lambda image: image, run=run)


def _command(folder: Path) -> list[str]:
    root, site = folder / "root", folder / "site"
    return [
        *(str(folder / "qemu/usr/bin/qemu-aarch64"), "-L", str(root), "-E", f"PYTHONPATH={site}"),
        str(root / "usr/bin/python3.11"),
    ]


def _check(folder: Path, model: Path) -> str:
    """A row of the table."""
    contract = read_contract(model)
    golden = golden_of(model, contract)
    if golden is None:
        raise PmsiError(f"no golden samples are beside {model}")
    given = probabilities(folder, model, golden.images)
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
    verb, place, *models = sys.argv[1:]
    if verb == "fetch":
        fetch(Path(place).resolve())
        print(f"next: {VARIABLE}={os.path.abspath(place)} pytest tests/export/test_aarch64.py")
    else:
        print("| file | precision | gate | max abs difference | top-1 agreement | SQNR dB | from this host's output |")
        print("|---|---|---|---|---|---|---|")
        for path in models:
            print(_check(Path(place).resolve(), Path(path)), flush=True)
