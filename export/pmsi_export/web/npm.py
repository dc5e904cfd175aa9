"""LiteRT.js, the page's runtime, from npm: fixed versions, held against their digests whenever they are used."""

import base64
import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pmsi_mobile import __version__
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write

_TIMEOUT = 60
"""Seconds without a byte."""


@dataclass(frozen=True)
class Package:
    """One package of npm.

    integrity: SHA-512 of its tarball in base64, as npm has it. folder: its place in the page's `runtime/`.
    needed: what the page takes of it, by the path in the package.
    """

    name: str
    version: str
    integrity: str
    folder: str
    needed: tuple[str, ...]

    @property
    def tarball(self) -> str:
        """As `npm pack` calls it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def url(self) -> str:
        return f"https://registry.npmjs.org/{self.name}/-/{self.name.rpartition('/')[2]}-{self.version}.tgz"


_BUILDS = ("internal", "threaded_internal", "compat_internal")
"""Relaxed SIMD; the same with threads; SIMD as older browsers have it."""

RUNTIME = "LiteRT.js 2.5.3"
SIZE_MB = 12
"""Of the download."""
PACKAGES = (
    Package(
        "@litertjs/core",
        "2.5.3",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        "core",
        (
            "package.json",
            "dist/index.js",
            *(f"wasm/litert_wasm_{build}.{suffix}" for build in _BUILDS for suffix in ("js", "wasm")),
        ),
    ),
    Package(
        "@litertjs/wasm-utils",
        "2.5.3",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        "wasm-utils",
        ("package.json", "dist/index.js"),
    ),
)


def cache_folder() -> Path:
    """Where this user's downloads are kept."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pmsi-mobile" / "npm"


def missing(folder: Path) -> list[Package]:
    """Those whose tarball is not in a folder."""
    return [package for package in PACKAGES if not (folder / package.tarball).is_file()]


def download(packages: list[Package], folder: Path) -> None:
    """Tarballs into a folder. Raises PmsiError when one cannot be had or is another than it should be."""
    for package in packages:
        request = urllib.request.Request(package.url, headers={"User-Agent": f"pmsi-mobile/{__version__}"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                content = response.read()
        except OSError as error:
            raise PmsiError(f"{package.url} cannot be had ({error}): {_by_hand()}") from None
        _check(package, content, package.url)
        with atomic_write(folder / package.tarball) as temporary:
            temporary.write_bytes(content)


def runtime_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """What the page needs, by its path in the page's `runtime/`, out of the tarballs in a folder.

    Raises PmsiError when a tarball is missing or is another than it should be.
    """
    for package in PACKAGES:
        path = folder / package.tarball
        if not path.is_file():
            raise PmsiError(f"{path} is missing: {_by_hand()}")
        content = path.read_bytes()
        _check(package, content, str(path))
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for name in package.needed:
                member = archive.extractfile(f"package/{name}")
                assert member is not None
                yield f"{package.folder}/{name}", member.read()


def _check(package: Package, content: bytes, where: str) -> None:
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != package.integrity:
        raise PmsiError(f"{where} is not {package.name} {package.version} as npm has it: remove it. {_by_hand()}")


def _by_hand() -> str:
    names = " ".join(f"{package.name}@{package.version}" for package in PACKAGES)
    return f"run `npm pack {names}` where there is a network, and pass the folder with --web-runtime"
