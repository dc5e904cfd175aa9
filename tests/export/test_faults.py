"""Every planted fault is caught, and the page says by what."""

from pathlib import Path

import pytest

from pmsi_export.formats.open import load_file
from tests.export.faults import FAULTS, Fault, Workshop, rows

PAGE = Path(__file__).parents[2] / "export" / "FAULTS.md"
ROWS = rows(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.mark.parametrize(("name", "precision"), [("torchscript", "fp32"), ("tflite", "fp32"), ("tflite", "int8")])
def test_without_a_fault_an_export_passes_and_opens(workshop, name, precision):
    exported = workshop.good(name, precision)
    assert exported.contract.parity.status == "passed"
    assert load_file(exported.path).predict(workshop.image).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.plant.__name__)
def test_a_planted_fault_is_caught_by_what_the_page_says(workshop, fault: Fault):
    caught = fault.plant(workshop)
    assert caught, "nothing caught it"
    assert (fault.name, fault.where, caught.by) in ROWS


def test_the_page_has_a_row_for_every_fault_and_no_other():
    assert [(name, where) for name, where, _ in ROWS] == [(fault.name, fault.where) for fault in FAULTS]
