"""What reports of this host and of phones have in common."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pmsi_mobile.errors import MeasurementError, PmsiError

_BAR = "\\|"
"""As a table in Markdown wants it."""
SUFFIXES = (".html", ".csv", ".md", ".json")


def check_reports(paths: Sequence[Path]) -> None:
    """Before anything is measured: raises PmsiError for a suffix that no report has, and where none can be written."""
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise PmsiError(f"--report {path} has a suffix that is not known: choose one of {', '.join(SUFFIXES)}")
        if path.is_dir():
            raise PmsiError(f"--report {path} is a folder: name a file in it")
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise PmsiError(f"--report {path} cannot be written: {folder} is no folder that this user may write to")


def write_reports(paths: Sequence[Path], write: Callable[[Path], None]) -> None:
    """Write each. Raises MeasurementError for the first that cannot be written, after the others."""
    problems = []
    for path in paths:
        try:
            write(path)
        except (OSError, UnicodeError) as error:
            problems.append(f"{path} could not be written ({error}): the result is above, --json prints all of it")
    if problems:
        raise MeasurementError(problems[0])


def markdown_line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', _BAR) for cell in cells)} |"


def number(value: float | None, digits: int = 3) -> str:
    """Empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"
