"""Every planted fault ends as the page says."""

from pathlib import Path

import pytest

from tests.benchmarks.phone.faults import FAULTS, Fault, rows, run

PAGE = Path(__file__).parents[3] / "benchmarks" / "FAULTS.md"
ROWS = rows(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_a_planted_fault_ends_as_the_page_says(adb, models: Path, tmp_path: Path, fault: Fault):
    outcome = run(fault, adb, models, tmp_path)
    assert [line for line in outcome.said if fault.says in line], outcome.said
    assert (outcome.code, outcome.kept, outcome.left) == (fault.code, fault.kept, fault.left)
    assert outcome.errors == (1 if outcome.code else 0)
    left = "our folder" if outcome.left else "nothing"
    assert (fault.name, fault.planted, str(outcome.code), str(outcome.kept), left) in ROWS


def test_the_page_has_a_row_for_every_fault_and_no_other():
    assert [row[:2] for row in ROWS] == [(fault.name, fault.planted) for fault in FAULTS]
