"""A folder for a web server: the page, the runtime, models."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pmsi_export.contract.golden_samples import golden_path
from pmsi_export.formats.open import read_contract
from pmsi_export.web.npm import RUNTIME, runtime_files
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write, write_text

PAGE = Path(__file__).parent / "page"
WEB_FORMAT = "tflite"
"""What the page has a runtime for."""
_FILES = "files.js"
_SITE = "site.json"
_OWN = ("icons", "js", "models", "runtime")
"""Folders of the page."""


def check_site(folder: Path) -> None:
    """Raise PmsiError when `folder` holds something else than a page of ours."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / _FILES).is_file()):
        raise PmsiError(f"{folder} is not empty and no page of pmsi-export: choose another folder for --web")


def check_is_site(folder: Path) -> None:
    """Raise PmsiError when `folder` is no page of ours."""
    if not (folder / _FILES).is_file():
        raise PmsiError(f"{folder} is no page: make one with pmsi-export --web {folder} model.tflite")


def write_site(models: Sequence[Path], runtime: Path, folder: Path) -> None:
    """Write the page around exported .tflite files, the first of which it opens, with their golden samples.

    runtime: folder of npm's tarballs. What else is in the page's folders, from an earlier one, goes; what lies beside
    them stays.
    Raises PmsiError for a folder that holds something else, and for files that are not whole.
    """
    check_site(folder)
    files = dict(runtime_files(runtime))
    golden = {model: golden_path(model, read_contract(model)) for model in models}
    written: dict[str, str] = {}

    def put(name: str, content: bytes) -> None:
        with atomic_write(folder / name) as temporary:
            temporary.write_bytes(content)
        written[name] = hashlib.sha256(content).hexdigest()

    for name, content in files.items():
        put(f"runtime/{name}", content)
    for path in filter(None, (*golden.keys(), *golden.values())):
        put(f"models/{path.name}", path.read_bytes())
    for name, content in _page():
        put(name, content)
    entries = [{"file": model.name, "golden": samples and samples.name} for model, samples in golden.items()]
    put(_SITE, json.dumps({"models": entries, "runtime": RUNTIME}, indent=2).encode())
    # Last, for it tells browsers that there is something new.
    write_text(folder / _FILES, _list(written))
    for path in (path for own in _OWN for path in (folder / own).rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in written:
            path.unlink()


def _page() -> Iterator[tuple[str, bytes]]:
    for path in sorted(PAGE.rglob("*")):
        if path.is_file():
            yield path.relative_to(PAGE).as_posix(), path.read_bytes()


def _list(written: dict[str, str]) -> str:
    """What the service worker keeps from the start (the builds of the runtime are kept as browsers take them), and a
    version that changes with any file."""
    kept = ["./", *(name for name in written if "/wasm/" not in name and name not in ("index.html", "sw.js"))]
    version = hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:16]
    return f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(kept, indent=2)};\n"
