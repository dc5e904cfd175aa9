"""`pmsi-bench --runner web`: what it takes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pmsi_bench.host.browser import browser_version, find_chromium
from pmsi_bench.subjects.subject import Subject
from pmsi_export.web import npm
from pmsi_export.web.site import WEB_FORMAT
from pmsi_mobile.errors import PmsiError


def find_runtime(folder: Path | None) -> Path:
    """The folder with the page's runtime: `folder`, or the one that `pmsi-export --web` keeps. Raises PmsiError where
    there is none, or no browser."""
    if find_chromium() is None:
        raise PmsiError("--runner web needs Chromium or Chrome, and none is installed: apt-get install chromium")
    found = folder or npm.cache_folder()
    if missing := npm.missing(found):
        raise PmsiError(
            f"{missing[0].tarball} is not in {found}: pmsi-export --web fetches it once, --web-runtime DIR takes it "
            "from another folder"
        )
    return found


def in_browser(rows: Sequence[Subject], runtime: Path) -> list[Subject]:
    """The rows as the page runs them. Raises PmsiError for files that it cannot."""
    for row in rows:
        if row.format != WEB_FORMAT:
            raise PmsiError(f"{row.name}: --runner web runs .{WEB_FORMAT} files")
    program = browser_version()
    return [
        replace(row, runtime=f"{npm.RUNTIME} in {program}", job=replace(row.job, web_runtime=runtime)) for row in rows
    ]
