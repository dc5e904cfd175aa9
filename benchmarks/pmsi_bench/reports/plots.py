"""The plots of the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pmsi_bench.host.sustained import Window
from pmsi_mobile.pages.plots import ACCENT, INK, svg_plot
from pmsi_mobile.plot_names import plot_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_BARS = 2.0
"""Times the longest bar that the scale goes to."""


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
    """Typical latency (bar), 90th percentile where it is known (line), that of every round (dots), in milliseconds.

    What lies more than LONGEST_BARS out is marked at the end of the scale. Empty without bars.
    """
    if not bars:
        return ""
    limit = LONGEST_BARS * max(bar.typical_ms for bar in bars)
    clipped = False
    with svg_plot(0.8 + 0.42 * len(bars)) as (axes, drawn):
        rows = range(len(bars))
        axes.barh(rows, [bar.typical_ms for bar in reversed(bars)], height=0.55, color=ACCENT, alpha=0.75)
        random = np.random.default_rng(0)
        for row, bar in zip(rows, reversed(bars), strict=True):
            rounds = np.asarray(bar.rounds_ms)
            spread = row + random.uniform(-0.2, 0.2, len(rounds))
            within = rounds <= limit
            axes.plot(rounds[within], spread[within], ".", color=INK, markersize=3, alpha=0.6)
            text, ends = f"{bar.typical_ms:.2f}", [bar.typical_ms, *bar.rounds_ms]
            if bar.p90_ms is not None:
                text = f"{text} | {bar.p90_ms:.2f}"
                ends.append(bar.p90_ms)
                marker = "|" if bar.p90_ms <= limit else None
                axes.plot(
                    [bar.typical_ms, min(bar.p90_ms, limit)],
                    [row, row],
                    color=INK,
                    lw=1.5,
                    marker=marker,
                    markevery=[1],
                )
            if max(ends) > limit:
                clipped = True
                axes.plot(limit, row, ">", color=INK, markersize=6)
            axes.annotate(text, (min(max(ends), limit), row), xytext=(8, 0), textcoords="offset points", va="center")
        _name_rows(axes, [bar.name for bar in reversed(bars)])
        line = " | 90th percentile (line)" if any(bar.p90_ms is not None for bar in bars) else ""
        beyond = "\ntriangle: goes on beyond the scale" if clipped else ""
        # To the right: it may be longer than the axis, and names are at the left.
        axes.set_xlabel(f"ms per image: median (bar){line}; dots: each round{beyond}", color=INK, loc="right")
        axes.margins(x=0.18)
        axes.set_xlim(left=0)
        axes.spines[:].set_visible(False)
        axes.grid(axis="x", color=INK, alpha=0.15)
    return drawn[0]


def accuracy_plot(points: Sequence[Point]) -> str:
    """Top-1 against latency, the Pareto front as a line; files that did not pass parity are hollow.

    Empty where there is nothing to compare.
    """
    if len(points) < 2:
        return ""
    with svg_plot(5.2) as (axes, drawn):
        corners = sorted((point.latency_ms, 100 * point.top1) for point in points if point.front)
        axes.step([x for x, _ in corners], [y for _, y in corners], where="post", color=ACCENT, lw=2, zorder=1)
        for point in points:
            axes.plot(
                point.latency_ms,
                100 * point.top1,
                "o",
                color=ACCENT if point.front else INK,
                fillstyle="full" if point.passed else "none",
                markersize=7,
                zorder=2,
            )
        _label(axes, [(point.name, point.latency_ms, 100 * point.top1) for point in points])
        axes.set_xlabel("median ms per image", color=INK)
        axes.set_ylabel("top-1, %", color=INK)
        axes.margins(x=0.22, y=0.15)
        axes.set_xlim(left=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(INK)
        axes.grid(color=INK, alpha=0.12)
    return drawn[0]


def sustained_plot(windows: Mapping[str, Sequence[Window]]) -> str:
    """Median latency of every second under load without a pause, over the first second's, by minutes; windows: by the
    file's name, at least one of each. Empty without files."""
    if not windows:
        return ""
    with svg_plot(4.2) as (axes, drawn):
        styles = ["-", "--", "-.", ":"]
        lines = []
        for number, seconds in enumerate(windows.values()):
            first = seconds[0].median_ms
            lines += axes.plot(
                [window.seconds / 60 for window in seconds],
                [window.median_ms / first for window in seconds],
                styles[number % len(styles)],
                color=INK if number // len(styles) % 2 else ACCENT,
                lw=1.6,
            )
        axes.set_xlabel("minutes without a pause", color=INK)
        axes.set_ylabel("times the first second", color=INK)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(INK)
        axes.grid(color=INK, alpha=0.12)
        names, families = plot_names(list(windows))
        # The legend leaves out what begins with an underscore.
        shown = [f" {name}" if name.startswith("_") else name for name in names]
        axes.legend(lines, shown, frameon=False, labelcolor=INK, loc="lower right", prop={"family": families})
    return drawn[0]


def _name_rows(axes: "Axes", names: Sequence[str]) -> None:
    shown, families = plot_names(names)
    axes.set_yticks(range(len(shown)), shown, family=families)


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
    names, families = plot_names([name for name, _, _ in points])
    shown = {name: drawn for (name, _, _), drawn in zip(points, names, strict=True)}
    for group in groups:
        right = max(x for _, x, _ in group)
        for line, (name, _, y) in enumerate(group):
            place = (9, 4 - 12 * line)
            axes.annotate(
                shown[name], (right, y), xytext=place, textcoords="offset points", fontsize=9, family=families
            )
