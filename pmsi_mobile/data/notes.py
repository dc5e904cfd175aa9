"""What a data set says of the files that it passes over."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.errors import PmsiError

_NAMED = 5


class Note(NamedTuple):
    """`skipped` what could not be read, `ignored` what is not looked at; relative to the data set; why."""

    verb: str
    name: str
    reason: str


def in_words(notes: Iterable[Note]) -> tuple[str, ...]:
    """A line for each of the first files that have a reason in common, then one for the others."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for note in notes:
        groups[note.verb, note.reason].append(note.name)
    lines = []
    for (verb, reason), names in groups.items():
        named = _named(names)
        lines += [f"{verb} {escaped(name)}: {reason}" for name in names[:named]]
        if names[named:]:
            lines.append(f"{verb} {len(names) - named} more: {reason}")
    return tuple(lines)


def with_notes(error: PmsiError, notes: Iterable[str]) -> PmsiError:
    """The error with the notes that may explain it: a command shows them before it."""
    for note in notes:
        error.add_note(note)
    return error


def enumerated(names: Sequence[str]) -> str:
    """The first names, and how many there are more."""
    named = _named(names)
    more = f" and {len(names) - named} more" if names[named:] else ""
    return ", ".join(escaped(name) for name in names[:named]) + more


def _named(names: Sequence[str]) -> int:
    """How many are named; one left over is named rather than counted."""
    return len(names) if len(names) <= _NAMED + 1 else _NAMED
