"""The plots of the report: `<svg>` elements that take their colours from the page (`currentColor`, `--accent`)."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmsi_bench.results.host_result import BenchResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib writes colours in figures; these two stand for the page's own, which depend on its dark mode.
_INK, _ACCENT = "#010203", "#040506"


@dataclass(frozen=True)
class Bar:
    """A row of the latency plot. rounds_ms: one latency per round; p90_ms: None where it is not known."""

    name: str
    rounds_ms: Sequence[float]
    typical_ms: float
    p90_ms: float | None


@dataclass(frozen=True)
class Point:
    """A file in the plane of latency and accuracy. top1: in 0..1. passed: its parity gate. front: no other file is
    better in both."""

    name: str
    latency_ms: float
    top1: float
    passed: bool
    front: bool


def latency_plot(bars: Sequence[Bar]) -> str:
    """Typical latency (bar), 90th percentile where it is known (line), that of every round (dots), in milliseconds."""
    with _plot(0.8 + 0.42 * len(bars)) as (axes, drawn):
        rows = range(len(bars))
        axes.barh(rows, [bar.typical_ms for bar in reversed(bars)], height=0.55, color=_ACCENT, alpha=0.75)
        random = np.random.default_rng(0)
        for row, bar in zip(rows, reversed(bars), strict=True):
            spread = row + random.uniform(-0.2, 0.2, len(bar.rounds_ms))
            axes.plot(bar.rounds_ms, spread, ".", color=_INK, markersize=3, alpha=0.6)
            text, end = f"{bar.typical_ms:.2f}", max(bar.typical_ms, *bar.rounds_ms)
            if bar.p90_ms is not None:
                text, end = f"{text} | {bar.p90_ms:.2f}", max(end, bar.p90_ms)
                axes.plot([bar.typical_ms, bar.p90_ms], [row, row], color=_INK, lw=1.5, marker="|", markevery=[1])
            axes.annotate(text, (end, row), xytext=(6, 0), textcoords="offset points", va="center")
        axes.set_yticks(rows, [bar.name for bar in reversed(bars)])
        line = " | 90th percentile (line)" if any(bar.p90_ms is not None for bar in bars) else ""
        axes.set_xlabel(f"ms per image: median (bar){line}; dots: each round", color=_INK)
        axes.margins(x=0.18)
        axes.set_xlim(left=0)
        axes.spines[:].set_visible(False)
        axes.grid(axis="x", color=_INK, alpha=0.15)
    return drawn[0]


def accuracy_plot(points: Sequence[Point]) -> str:
    """Top-1 against latency, the Pareto front as a line; files that did not pass parity are hollow."""
    with _plot(5.2) as (axes, drawn):
        corners = sorted((point.latency_ms, 100 * point.top1) for point in points if point.front)
        axes.step([x for x, _ in corners], [y for _, y in corners], where="post", color=_ACCENT, lw=2, zorder=1)
        for point in points:
            axes.plot(
                point.latency_ms,
                100 * point.top1,
                "o",
                color=_ACCENT if point.front else _INK,
                fillstyle="full" if point.passed else "none",
                markersize=7,
                zorder=2,
            )
        _label(axes, [(point.name, point.latency_ms, 100 * point.top1) for point in points])
        axes.set_xlabel("median ms per image", color=_INK)
        axes.set_ylabel("top-1, %", color=_INK)
        axes.margins(x=0.22, y=0.15)
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(_INK)
        axes.grid(color=_INK, alpha=0.12)
    return drawn[0]


def sustained_plot(result: BenchResult) -> str:
    """Median latency of every second under load without a pause, over the first second's, by minutes."""
    with _plot(4.2) as (axes, drawn):
        styles = ["-", "--", "-.", ":"]
        lines, names = [], []
        for number, file in enumerate(file for file in result.files if file.sustained):
            first = file.sustained[0].median_ms
            lines += axes.plot(
                [window.seconds / 60 for window in file.sustained],
                [window.median_ms / first for window in file.sustained],
                styles[number % len(styles)],
                color=_INK if number // len(styles) % 2 else _ACCENT,
                lw=1.6,
            )
            names.append(file.name)
        axes.set_xlabel("minutes without a pause", color=_INK)
        axes.set_ylabel("times the first second", color=_INK)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(_INK)
        axes.grid(color=_INK, alpha=0.12)
        axes.legend(lines, names, frameon=False, labelcolor=_INK, loc="lower right")
    return drawn[0]


def _label(axes: "Axes", points: Sequence[tuple[str, float, float]]) -> None:
    """Names beside their points; those of points that lie close together in a column, in the order of the latency."""
    span_x = max((x for _, x, _ in points), default=0) or 1
    ys = [y for _, _, y in points]
    span_y = (max(ys) - min(ys)) or 1
    groups: list[list[tuple[str, float, float]]] = []
    for point in sorted(points, key=lambda point: (-point[2], point[1])):
        near = groups and abs(groups[-1][-1][1] - point[1]) < 0.1 * span_x
        if near and abs(groups[-1][0][2] - point[2]) < 0.06 * span_y:
            groups[-1].append(point)
        else:
            groups.append([point])
    for group in groups:
        right = max(x for _, x, _ in group)
        for line, (name, _, y) in enumerate(group):
            axes.annotate(name, (right, y), xytext=(9, 4 - 12 * line), textcoords="offset points", fontsize=9)


@contextmanager
def _plot(height: float) -> Iterator[tuple["Axes", list[str]]]:
    """Axes to draw on, and a list that holds the finished `<svg>` element afterwards."""
    import matplotlib
    from matplotlib.figure import Figure

    drawn: list[str] = []
    # `path`: no font has to be present where the page is read.
    # `parse_math`: a `$` in the name of a file is a `$`.
    with matplotlib.rc_context(
        {"svg.fonttype": "path", "svg.hashsalt": "pmsi-bench", "text.color": _INK, "text.parse_math": False}
    ):
        figure = Figure(figsize=(9, height), layout="constrained")
        axes = figure.subplots()
        yield axes, drawn
        axes.tick_params(colors=_INK, left=False)
        axes.set_axisbelow(True)
        picture = io.StringIO()
        unsigned = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(picture, format="svg", transparent=True, metadata=unsigned)
    svg = picture.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor").replace(_ACCENT, "var(--accent)")
    # The page gives the width; the height follows from the viewBox.
    for name in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {name}="[^"]*"', r"\1", svg, count=1)
    drawn.append(svg)
