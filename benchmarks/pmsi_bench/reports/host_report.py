"""A result of this host as a file: an HTML page, CSV, Markdown or JSON."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_bench.host.sustained import slow_down
from pmsi_bench.reports.host_table import STOPPED
from pmsi_bench.reports.page import markdown_line, number
from pmsi_bench.results.choice import pareto_front
from pmsi_bench.results.host_result import BenchResult, Figures, FileResult
from pmsi_bench.results.host_verdict import candidates, choices, verdict
from pmsi_bench.results.network import headings, ratios_to
from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.csv_text import csv_text
from pmsi_mobile.files import write_text
from pmsi_mobile.pages.page import render

if TYPE_CHECKING:
    from pmsi_bench.reports.plots import Bar, Point


def write_report(result: BenchResult, path: Path) -> None:
    """Write `result` to `path` in the form that its suffix says, atomically."""
    write_text(path, _WRITERS[path.suffix](result))


def as_html(result: BenchResult) -> str:
    """The page as text."""
    from pmsi_bench.reports.plots import accuracy_plot, latency_plot, sustained_plot

    titles = headings(result.networks)
    return render(
        "pmsi_bench.reports",
        "host.html",
        result=result,
        verdict=verdict(result),
        best=[file.name for file in choices(result)],
        baselines=[network.baseline for network in result.networks],
        ratios_to=ratios_to(result.networks),
        stopped=STOPPED[result.stopped],
        slow_down=slow_down,
        accuracy_plots={title: accuracy_plot(_points(result, number)) for number, title in enumerate(titles)},
        latency_plots={title: latency_plot(_bars(result, number)) for number, title in enumerate(titles)},
        sustained_plots={"": sustained_plot({file.name: file.sustained for file in result.files if file.sustained})},
    )


def _bars(result: BenchResult, network: int) -> "list[Bar]":
    from pmsi_bench.reports.plots import Bar

    return [
        Bar(file.name, file.figures.round_medians_ms, file.figures.latency.median_ms, file.figures.latency.p90_ms)
        for file in result.files
        if file.figures and file.network == network
    ]


def _points(result: BenchResult, network: int) -> "list[Point]":
    from pmsi_bench.reports.plots import Point

    front = pareto_front(candidates(result, network))
    return [
        Point(
            file.name,
            file.figures.latency.median_ms,
            file.accuracy.top1,
            file.parity in ("passed", "reference"),
            file.name in front,
        )
        for file in result.files
        if file.figures and file.accuracy and file.network == network
    ]


def as_csv(result: BenchResult) -> str:
    """One line per file; what was not measured is empty."""
    return csv_text([_row(result, file) for file in result.files])


def as_markdown(result: BenchResult) -> str:
    """The sentence, how it was measured, and a table."""
    machine = result.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    head = [
        "file",
        "precision",
        "threads",
        "MB",
        "memory MB",
        "median ms",
        "p90 ms",
        "p99 ms",
        "ratio",
        "95 % interval",
    ]
    head += ["parity", "top-1", "agreement"]
    numbered = ["network"] if len(result.networks) > 1 else []
    head[1:1] = numbered
    baselines = [network.baseline for network in result.networks]
    lines = [
        *(line for sentence in verdict(result) for line in (sentence, "")),
        f"`{result.command}`, {result.started:%Y-%m-%d}. {machine.cpu}, {machine.cores} cores, {machine.system}; load "
        f"average {machine.load_average} at the start. {result.rounds} rounds ({STOPPED[result.stopped]}). {versions}. "
        "Measured on this host, not on a phone.",
        "",
        markdown_line(head),
        markdown_line(["---"] * len(head)),
    ]
    for file in result.files:
        row = _row(result, file)
        interval = "none" if row["ratio_low"] == "" else f"{row['ratio_low']} .. {row['ratio_high']}"
        cells = [
            f"`{file.name}`",
            *(str(row[column]) for column in numbered),
            file.precision,
            file.threads,
            f"{file.size_bytes / 1e6:.2f}",
        ]
        if file.figures:
            cells += [row["memory_mb"], *(row[f"{name}_ms"] for name in ("median", "p90", "p99")), row["ratio"]]
            cells.append("baseline" if file.name in baselines else interval)
        else:
            cells += [f"{file.status}: {file.reason}", "", "", "", "", ""]
        cells += [file.parity, row["top1"], row["agreement"]]
        lines.append(markdown_line([str(cell) for cell in cells]))
    return "\n".join(map(escaped, lines)) + "\n"


def _row(result: BenchResult, file: FileResult) -> dict[str, object]:
    """The columns of the CSV."""
    work, accuracy, rate = file.work, file.accuracy, result.macs_per_second(file)
    return {
        "file": file.name,
        "network": file.network + 1,
        "format": file.format,
        "runtime": file.runtime,
        "precision": file.precision,
        "input_side": file.input_side,
        "threads": file.threads,
        "size_bytes": file.size_bytes,
        "status": file.status,
        "reason": file.reason or "",
        "parity": file.parity,
        **{name: number(value(file.figures) if file.figures else None) for name, value in _FIGURES.items()},
        "macs": work.macs if work and work.macs else "",
        "gmacs_per_second": number(rate / 1e9 if rate else None, 1),
        "delegated": number(work.delegated if work else None),
        "top1": number(accuracy.top1 if accuracy else None, 4),
        "agreement": number(accuracy.agreement if accuracy else None, 4),
        "slow_down": number(slow_down(file.sustained)),
    }


_FIGURES: Mapping[str, Callable[[Figures], float | None]] = {
    "load_ms": lambda figures: figures.load_ms,
    "first_inference_ms": lambda figures: figures.first_inference_ms,
    "memory_mb": lambda figures: None if figures.memory_bytes is None else figures.memory_bytes / 1e6,
    "inferences": lambda figures: figures.latency.inferences,
    "median_ms": lambda figures: figures.latency.median_ms,
    "p90_ms": lambda figures: figures.latency.p90_ms,
    "p99_ms": lambda figures: figures.latency.p99_ms,
    "mean_ms": lambda figures: figures.latency.mean_ms,
    "stdev_ms": lambda figures: figures.latency.stdev_ms,
    "min_ms": lambda figures: figures.latency.min_ms,
    "ratio": lambda figures: figures.ratio.median,
    "ratio_low": lambda figures: figures.ratio.low,
    "ratio_high": lambda figures: figures.ratio.high,
}


_WRITERS: Mapping[str, Callable[[BenchResult], str]] = {
    ".html": as_html,
    ".csv": as_csv,
    ".md": as_markdown,
    ".json": lambda result: result.model_dump_json(indent=2) + "\n",
}
