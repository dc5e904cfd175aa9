"""Tables as CSV, which a spreadsheet is to show and not to execute."""

import csv
import io
from collections.abc import Mapping, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What spreadsheets take for the beginning of a formula, or leave out in front of one (OWASP, CSV injection)."""


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """One line per row below the first one's keys; floats with six digits.

    A text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay as they are. Raises
    IndexError without rows.
    """
    text = io.StringIO()
    # With another end of line than the format's own it would not quote a carriage return.
    writer = csv.writer(text)
    writer.writerow(map(_cell, rows[0]))
    writer.writerows([_cell(row[key]) for key in rows[0]] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and value.startswith(_FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and text.isprintable()
