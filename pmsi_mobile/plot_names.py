"""Names of classes and files in plots."""

from collections.abc import Sequence
from functools import cache

LONGEST = 48
"""Characters of a name; of a longer one the middle is left out."""
_OWN = "DejaVu Sans"
"""The font that matplotlib brings."""


def plot_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names as they can be drawn, a line each, and the fonts to draw them with (matplotlib's `family`).

    A character that no font of this machine has, or that is none to be seen, is written as in Python: `\\u6f22`.
    """
    wanted = frozenset("".join(map(_short, names)))
    families = [_OWN, *_further_fonts(frozenset(char for char in wanted - _characters(_OWN) if char.isprintable()))]
    known = frozenset().union(*map(_characters, families))
    drawn = {
        char: char if char in known and char.isprintable() else char.encode("unicode_escape").decode()
        for char in wanted
    }
    return ["".join(drawn[char] for char in _short(name)) for name in names], families


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[1 - LONGEST // 2 :]}"


def _further_fonts(missing: frozenset[str]) -> list[str]:
    """Few of this machine's that have what is missing, as far as any has it."""
    chosen: list[str] = []
    while missing:
        best = max(_files(), key=lambda family: len(missing & _characters(family)))
        if not missing & _characters(best):
            break
        chosen.append(best)
        missing -= _characters(best)
    return chosen


@cache
def _files() -> dict[str, str]:
    """Upright fonts of normal weight on this machine, but for the one that has a box for everything: family -> file."""
    from matplotlib.font_manager import fontManager

    return {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular") and "Last Resort" not in font.name
    }


@cache
def _characters(family: str) -> frozenset[str]:
    """What a font has; nothing where matplotlib cannot draw with it, as with fonts of coloured pictures."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(_files()[family])
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):
        return frozenset()
