"""What goes to the terminal: lines, and tables."""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_JOINERS = "\u200c\u200d"
"""Invisible, and part of many scripts' words and of pictures."""


def escaped(text: str) -> str:
    """The text on one line, without what would steer a terminal: names of files and classes come from anywhere.

    Control characters, changes of direction, lone surrogates and the like are written as in Python: `\\x1b`.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or unicodedata.category(char) == "Zs" or char in _JOINERS
        else char.encode("unicode_escape").decode()
        for char in text
    )


def say(line: str, *, err: bool = False) -> None:
    """Print a line, escaped, to stdout or stderr."""
    import typer

    typer.echo(escaped(line), err=err)


def plain_console(*, err: bool = False, width: int | None = None) -> "Console":
    """A console that shows text as it is: `[bold]` and `:dog:` are parts of names."""
    from rich.console import Console

    return Console(stderr=err, width=width, markup=False, emoji=False, highlight=False, soft_wrap=True)


def console_for(table: "Table") -> "Console":
    """A console as wide as the table: rich would cut figures off to fit them in a narrow terminal."""
    from rich.measure import Measurement

    wide = plain_console(width=1000)
    return plain_console(width=Measurement.get(wide, wide.options, table).maximum)
