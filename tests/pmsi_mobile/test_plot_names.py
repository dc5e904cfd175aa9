import numpy as np
import pytest

from pmsi_export.evaluation.pictures import plot_confusion
from pmsi_mobile.plot_names import LONGEST, plot_names

NAMES = [
    "two\nlines",
    "漢字",
    "🐦 bird",
    "_a",
    "$x_{$",
    "\x1b[31mred",
    "x" * 300,
    "a\u202eb",
    "\udc80",
    "käse",
    "עברית",
    "",
]


def test_names_are_one_line_of_characters_that_a_font_has():
    shown, families = plot_names(NAMES)
    assert families[0] == "DejaVu Sans"
    assert all(name.isprintable() and len(name) <= 8 * LONGEST for name in shown)
    told = dict(zip(NAMES, shown, strict=True))
    assert told["two\nlines"] == "two\\nlines"
    assert told["\x1b[31mred"] == "\\x1b[31mred"
    assert (told["käse"], told["$x_{$"], told["_a"], told[""]) == ("käse", "$x_{$", "_a", "")
    assert told["x" * 300] == "x" * 24 + "…" + "x" * 23


def test_a_character_that_no_font_has_is_its_number(monkeypatch):
    monkeypatch.setattr("pmsi_mobile.plot_names._files", lambda: {"DejaVu Sans": _own_font()})
    assert plot_names(["漢a", "🐦"])[0] == ["\\u6f22a", "\\U0001f426"]


def _own_font() -> str:
    from matplotlib.font_manager import findfont

    return findfont("DejaVu Sans")


@pytest.mark.filterwarnings("error")
def test_every_class_name_can_be_drawn_without_a_warning(tmp_path, caplog):
    plot_confusion(tmp_path / "confusion.png", np.ones((len(NAMES), len(NAMES)), np.int64), NAMES)
    assert caplog.records == []
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
