"""Plots as `<svg>` elements that take their colours from the page (`currentColor`, `--accent`)."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib writes colours in figures; these two stand for the page's own, which depend on its dark mode.
INK, ACCENT = "#010203", "#040506"


@contextmanager
def svg_plot(height: float, width: float = 9) -> Iterator[tuple["Axes", list[str]]]:
    """Axes to draw on with INK and ACCENT, and a list that holds the finished `<svg>` element afterwards."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn: list[str] = []
    # `path`: no font has to be present where the page is read.
    # `parse_math`: a `$` in the name of a file is a `$`.
    with matplotlib.rc_context(
        {"svg.fonttype": "path", "svg.hashsalt": "pmsi", "text.color": INK, "text.parse_math": False}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        yield axes, drawn
        axes.tick_params(colors=INK, left=False)
        axes.set_axisbelow(True)
        picture = io.StringIO()
        unsigned = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(picture, format="svg", transparent=True, metadata=unsigned)
    svg = picture.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace(ACCENT, "var(--accent)")
    # The page gives the width; the height follows from the viewBox.
    for name in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {name}="[^"]*"', r"\1", svg, count=1)
    drawn.append(svg)
