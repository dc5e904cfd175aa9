import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmsi_mobile.csv_text import csv_text

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=", "-", "-inf\n", "+٣"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_execute_is_text(text: str):
    [[header], [cell]] = list(csv.reader(io.StringIO(csv_text([{text: text}]), newline="")))
    assert header == cell == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-1.5, "-1.5"), (-3, "-3"), ("-0.250", "-0.250"), ("+5", "+5"), ("a=b", "a=b"), ("", ""), (1 / 3, "0.333333")],
)
def test_numbers_and_other_texts_stay(value: object, cell: str):
    assert csv_text([{"column": value}]).splitlines()[1] == (cell or '""')


@given(st.text(st.characters(codec="utf-8")))
def test_no_cell_begins_a_formula(text: str):
    [_, [cell]] = list(csv.reader(io.StringIO(csv_text([{"column": text}]), newline="")))
    assert cell in (text, f"'{text}")
    assert cell[:1] not in ("=", "@", "\t", "\r")
