"""The latency plot of the report."""

import io
import re

from pmsi_bench.results import BenchResult

# matplotlib writes colours in figures; these two stand for the page's own, which depend on its dark mode.
_INK, _ACCENT = "#010203", "#040506"


def latency_plot(result: BenchResult) -> str:
    """An `<svg>` element: median (bar) and 90th percentile (line) of every measured file, in milliseconds.

    It takes its colours from the page: `currentColor` and the variable `--accent`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    measured = [(file.name, file.figures.latency) for file in reversed(result.files) if file.figures]
    names = [name for name, _ in measured]
    rows = range(len(measured))
    # `path`: no font has to be present where the page is read.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "pmsi-bench", "text.color": _INK}):
        figure = Figure(figsize=(9, 0.8 + 0.42 * len(measured)), layout="constrained")
        axes = figure.subplots()
        axes.barh(rows, [latency.median_ms for _, latency in measured], height=0.5, color=_ACCENT)
        for row, (_, latency) in zip(rows, measured, strict=True):
            axes.plot([latency.median_ms, latency.p90_ms], [row, row], color=_INK, lw=1.5, marker="|", markevery=[1])
            axes.annotate(
                f"{latency.median_ms:.2f} | {latency.p90_ms:.2f}",
                (latency.p90_ms, row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(rows, names)
        axes.set_xlabel("ms per image: median (bar) | 90th percentile (line)", color=_INK)
        axes.margins(x=0.15)
        axes.set_xlim(left=0)
        axes.tick_params(colors=_INK, left=False)
        axes.spines[:].set_visible(False)
        axes.grid(axis="x", color=_INK, alpha=0.15)
        axes.set_axisbelow(True)
        picture = io.StringIO()
        unsigned = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(picture, format="svg", transparent=True, metadata=unsigned)
    svg = picture.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor").replace(_ACCENT, "var(--accent)")
    # The page gives the width; the height follows from the viewBox.
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1), count=1
    )
