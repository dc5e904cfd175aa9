"""The `benchmark_model` program: given, or fetched once from Google and kept."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.files import atomic_write, sha256, write_text

NIGHTLY = "https://storage.googleapis.com/tensorflow-nightly-public/prod/tensorflow/release/lite/tools/nightly/latest"
_NAMES = {"arm64-v8a": "android_aarch64_benchmark_model", "armeabi-v7a": "android_arm_benchmark_model"}
"""ABI -> Google's name. There is none for x86 phones and emulators."""
_MACHINES = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86"}
_SECONDS = 60.0


def find_tool(
    given: Path | None, abis: Sequence[str], confirm: Callable[[str], bool], *, source: str = NIGHTLY
) -> Path:
    """The program for a phone of these ABIs: the given file, the kept one, or a new download if `confirm` says yes.

    A downloaded file's SHA-256 is written beside it the first time; a file that differs from it later is refused.
    Raises PmsiError where there is none, it is for another ABI, or it has changed; MeasurementError where the download
    fails.
    """
    if given:
        if not given.is_file():
            raise PmsiError(f"--benchmark-model {given} does not exist: pass the program, or leave the option out")
        _check_abi(given, abis)
        return given
    name = next((_NAMES[abi] for abi in abis if abi in _NAMES), None)
    if not name:
        raise PmsiError(
            f"there is no official benchmark_model for {', '.join(abis)}: build it for that ABI and pass it with "
            "--benchmark-model"
        )
    kept = cache_folder() / name
    pinned = kept.with_name(f"{name}.sha256")
    if not kept.is_file() or not pinned.is_file():
        if not confirm(f"Fetch benchmark_model from {source}/{name}?"):
            raise PmsiError("benchmark_model is not fetched without consent: pass --yes, or --benchmark-model PATH")
        _fetch(f"{source}/{name}", kept)
        _check_abi(kept, abis)
        write_text(pinned, f"{sha256(kept)}\n")
    elif sha256(kept) != pinned.read_text(encoding="utf-8").strip():
        raise PmsiError(f"{kept} is not the file that was fetched, its SHA-256 differs: remove it to fetch it again")
    return kept


def cache_folder() -> Path:
    """Where downloads of this user are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pmsi-mobile"


def elf_abi(path: Path) -> str | None:
    """The Android ABI that a program is for, from its ELF header; null for a file that is no program."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        return None
    machine = int.from_bytes(header[18:20], "little")
    return _MACHINES.get(machine, f"ELF machine {machine}")


def _check_abi(path: Path, abis: Sequence[str]) -> None:
    abi = elf_abi(path)
    if abi is None:
        raise PmsiError(f"{path} is not a program for Android (no ELF header): pass Google's benchmark_model")
    if abi not in abis:
        raise PmsiError(f"{path} is for {abi}, the phone runs {', '.join(abis)}: pass a benchmark_model for that")


def _fetch(address: str, path: Path) -> None:
    import shutil
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with (
            urlopen(address, timeout=_SECONDS) as answer,
            atomic_write(path) as temporary,
            open(temporary, "wb") as file,
        ):
            shutil.copyfileobj(answer, file)
            expected = answer.headers.get("Content-Length")
            if expected and file.tell() != int(expected):
                raise OSError(f"{file.tell()} of {expected} bytes came")
    except (URLError, OSError) as error:
        raise MeasurementError(
            f"{address} cannot be fetched ({error}): try again, or pass --benchmark-model PATH"
        ) from None
