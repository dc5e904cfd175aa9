"""`pmsi-export --web` and `--serve`: the model in a browser."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from pmsi_export.formats.registry import Format
from pmsi_export.web import npm
from pmsi_export.web.server import serve
from pmsi_export.web.site import WEB_FORMAT, check_site
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import check_writable


def prepare_page(folder: Path, formats: Sequence[Format], runtime: Path | None, yes: bool) -> Path:
    """What can be seen before anything is converted; returns the folder with the page's runtime.

    Raises PmsiError when `folder` holds something else, no file that the page can run is asked for, or the runtime is
    not to be had.
    """
    if all(known.name != WEB_FORMAT for known in formats):
        raise PmsiError(f"the page runs no {formats[0].name} files: choose --format {WEB_FORMAT}")
    check_site(folder)
    check_writable(folder)
    return runtime or _fetched(yes)


def next_step(folder: Path) -> str:
    return f"next: pmsi-export --serve {shlex.quote(str(folder))}"


def serve_page(folder: Path, port: int) -> None:
    """Serve a page until Ctrl-C, and say how a phone gets at it."""

    def started(port: int) -> None:
        say(f"http://localhost:{port}/ serves {folder}; Ctrl-C ends it")
        say(f"on a phone: adb reverse tcp:{port} tcp:{port}, then the same address in its browser")

    with suppress(KeyboardInterrupt):
        serve(folder, port, started)


def _fetched(yes: bool) -> Path:
    folder = npm.cache_folder()
    missing = npm.missing(folder)
    if missing:
        names = ", ".join(f"{package.name} {package.version}" for package in missing)
        if not yes:
            question = f"The page's runtime, {npm.RUNTIME} ({names}, {npm.SIZE_MB} MB), has to be fetched from npm once"
            if not sys.stdin.isatty():
                raise PmsiError(f"{question}: --yes fetches it, --web-runtime DIR takes it from a folder")
            typer.confirm(f"{question}. Fetch it?", default=True, abort=True, err=True)
        say(f"fetching {names}", err=True)
        npm.download(missing, folder)
    return folder
