import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pmsi_mobile.console.progress import progress
from pmsi_mobile.console.terminal import console_for, escaped, plain_console, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("a\u202egnp.b", "a\\u202egnp.b"),
        ("\udc80", "\\udc80"),
        ("käse 漢字 🐦 עברית", "käse 漢字 🐦 עברית"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("👩\u200d🌾", "👩\u200d🌾"),
        ("C:\\\\new", "C:\\\\new"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str):
    assert escaped(text) == shown


@given(st.text())
def test_a_line_is_a_line_that_can_be_encoded(text: str):
    line = escaped(text)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in line)


def test_lines_are_said_escaped(capsys):
    say("a\x1bb")
    say("c\nd", err=True)
    assert capsys.readouterr() == ("a\\x1bb\n", "c\\nd\n")


NAME = ":dog: [bold]x[/] [/y]"


def test_names_that_look_like_markup_are_shown_as_they_are(capsys):
    table = Table(NAME, title=NAME, caption=NAME)
    table.add_row(NAME)
    console_for(table).print(table)
    plain_console().print(NAME)
    assert capsys.readouterr().out.count(NAME) == 5


def test_a_bar_shows_names_as_they_are(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress(NAME) as report:
        report(1, 2)
    assert NAME in capsys.readouterr().err
