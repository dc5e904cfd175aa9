"""A phone's result as a file: an HTML page, CSV, Markdown or JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_bench.reports.page import markdown_line, number
from pmsi_bench.reports.phone_table import remarks
from pmsi_bench.results.choice import pareto_front
from pmsi_bench.results.network import headings, ratios_to
from pmsi_bench.results.phone_result import DeviceFigures, DeviceResult, DeviceRow
from pmsi_bench.results.phone_verdict import candidates, choices, verdict
from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.csv_text import csv_text
from pmsi_mobile.files import write_text
from pmsi_mobile.pages.page import render

if TYPE_CHECKING:
    from pmsi_bench.reports.plots import Bar, Point

SHOWN_OPERATORS = 15
"""Of a row, those that take longest."""


def write_report(result: DeviceResult, path: Path) -> None:
    """Write `result` to `path` in the form that its suffix says, atomically."""
    write_text(path, _WRITERS[path.suffix](result))


def as_html(result: DeviceResult) -> str:
    """The page as text."""
    from pmsi_bench.reports.plots import accuracy_plot, latency_plot

    titles = headings(result.networks)
    return render(
        "pmsi_bench.reports",
        "phone.html",
        result=result,
        verdict=verdict(result),
        best=[row.title for row in choices(result)],
        baselines=[network.baseline for network in result.networks],
        ratios_to=ratios_to(result.networks),
        remarks=remarks(result),
        operators={
            row.title: sorted(row.inspection.operators, key=lambda each: -each.mean_ms)[:SHOWN_OPERATORS]
            for row in result.rows
            if row.inspection.operators
        },
        accuracy_plots={title: accuracy_plot(_points(result, number)) for number, title in enumerate(titles)},
        latency_plots={title: latency_plot(_bars(result, number)) for number, title in enumerate(titles)},
    )


def _bars(result: DeviceResult, network: int) -> "list[Bar]":
    from pmsi_bench.reports.plots import Bar

    return [
        Bar(row.title, [burst.typical_ms for burst in row.rounds], row.figures.typical_ms, None)
        for row in result.rows
        if row.figures and row.network == network
    ]


def _points(result: DeviceResult, network: int) -> "list[Point]":
    from pmsi_bench.reports.plots import Point

    front = pareto_front(candidates(result, network))
    return [
        Point(row.title, row.figures.typical_ms, row.export_top1, row.parity.status == "passed", row.title in front)
        for row in result.rows
        if row.figures and row.export_top1 is not None and row.network == network
    ]


def as_csv(result: DeviceResult) -> str:
    """One line per row; what was not measured is empty."""
    return csv_text([_columns(result, row) for row in result.rows])


def as_markdown(result: DeviceResult) -> str:
    """The sentence, the phone, and a table."""
    device = result.device
    head = ["file", "precision", "delegate", "ms", "load ms", "ratio", "95 % interval", "on-device parity", "throttled"]
    numbered = ["network"] if len(result.networks) > 1 else []
    head[1:1] = numbered
    lines = [
        *(line for sentence in verdict(result) for line in (sentence, "")),
        f"`{result.command}`, {result.started:%Y-%m-%d}. {device.name}, {device.soc or 'unknown SoC'}, Android "
        f"{device.android}; {result.runner}, {result.threads} threads, {result.rounds} rounds of {result.runs}, "
        f"{result.clocks}.",
        "",
        markdown_line(head),
        markdown_line(["---"] * len(head)),
    ]
    for row in result.rows:
        cells = _columns(result, row)
        interval = f"{cells['ratio_low']} .. {cells['ratio_high']}" if cells["ratio_low"] else "none"
        name = f"`{row.name}`"
        values = [cells["typical_ms"] or row.status, cells["load_ms"], cells["ratio"], interval, row.parity.status]
        throttled = "yes" if row.throttled else "no"
        lines.append(
            markdown_line(
                [
                    name,
                    *(str(cells[column]) for column in numbered),
                    row.precision,
                    row.delegate,
                    *map(str, values),
                    throttled,
                ]
            )
        )
    return "\n".join(map(escaped, [*lines, "", *remarks(result)])) + "\n"


def _columns(result: DeviceResult, row: DeviceRow) -> dict[str, object]:
    """Of the CSV."""
    return {
        "file": row.name,
        "network": row.network + 1,
        "format": row.format,
        "precision": row.precision,
        "delegate": row.delegate,
        "device": result.device.name,
        "soc": result.device.soc or "",
        "threads": result.threads,
        "fixed_performance": result.fixed_performance,
        "size_bytes": row.size_bytes,
        "status": row.status,
        "reason": row.reason or "",
        "on_device_parity": row.parity.status,
        "export_top1": number(row.export_top1, 4),
        "throttled": row.throttled,
        "peak_memory_mb": number(row.inspection.peak_memory_mb, 1),
        **{name: number(value(row.figures) if row.figures else None) for name, value in _FIGURES.items()},
    }


_FIGURES: Mapping[str, Callable[[DeviceFigures], float | None]] = {
    "load_ms": lambda figures: figures.load_ms,
    "first_inference_ms": lambda figures: figures.first_inference_ms,
    "typical_ms": lambda figures: figures.typical_ms,
    "mean_ms": lambda figures: figures.mean_ms,
    "min_ms": lambda figures: figures.min_ms,
    "max_ms": lambda figures: figures.max_ms,
    "inferences": lambda figures: figures.inferences,
    "p95_ms": lambda figures: figures.p95_ms,
    "ratio": lambda figures: figures.ratio.median,
    "ratio_low": lambda figures: figures.ratio.low,
    "ratio_high": lambda figures: figures.ratio.high,
}

_WRITERS: Mapping[str, Callable[[DeviceResult], str]] = {
    ".html": as_html,
    ".csv": as_csv,
    ".md": as_markdown,
    ".json": lambda result: result.model_dump_json(indent=2) + "\n",
}
