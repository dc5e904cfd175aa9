"""What reports of this host and of phones have in common."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pmsi_mobile.errors import PmsiError

SUFFIXES = (".html", ".csv", ".md", ".json")


def check_reports(paths: Sequence[Path]) -> None:
    """Raises PmsiError for a suffix that no report has: before anything is measured."""
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise PmsiError(f"--report {path} has a suffix that is not known: choose one of {', '.join(SUFFIXES)}")


def page(template: str, **values: Any) -> str:
    """A self-contained page: no network, no script. Values that end in `_plot` are `<svg>` elements."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("pmsi_bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = {name: Markup(value) for name, value in values.items() if name.endswith("_plot")}
    return environment.get_template(template).render(**values | drawn)


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """One line per row below the names of the columns; at least one row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown_line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def number(value: float | None, digits: int = 3) -> str:
    """Empty where there is none."""
    return "" if value is None else f"{value:.{digits}f}"
