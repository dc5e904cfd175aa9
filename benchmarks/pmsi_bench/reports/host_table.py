"""A result of this host as a table on the terminal."""

from collections.abc import Sequence

from pmsi_bench.host.sustained import slow_down
from pmsi_bench.results.host_result import BenchResult, FileResult
from pmsi_bench.results.network import ratios_to
from pmsi_mobile.console.terminal import console_for, escaped

STOPPED = {
    "interval": "every interval was narrow enough",
    "rounds": "all that were asked for",
    "time": "the time limit came first",
}
"""Why no further round was run."""


def print_result(result: BenchResult) -> None:
    """The table, and below it what must be known to read it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    machine = result.machine
    table = Table(
        title=escaped(f"this host ({machine.cpu}), {result.rounds} rounds ({STOPPED[result.stopped]})"),
        caption="times in ms; memory above the idle runtime; "
        f"ratio to {ratios_to(result.networks)}, with its 95 % interval",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    columns = ["file", "prec.", "MB", "memory", "median", "p90", "p99", "ratio", "interval", "parity"]
    several = len(result.networks) > 1
    columns[1:1] = ["network"] * several
    if result.photos:
        columns += ["top-1", "agree"]
    for column in columns:
        text = column in ("file", "prec.", "parity")
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "parity")
    for file in result.files:
        accuracy = [_share(file, "top1"), _share(file, "agreement")] if result.photos else []
        table.add_row(
            escaped(file.name),
            *[str(file.network + 1)] * several,
            file.precision,
            f"{file.size_bytes / 1e6:.1f}",
            *_cells(file, [network.baseline for network in result.networks]),
            file.parity,
            *accuracy,
        )
    console = console_for(table)
    console.print(table)
    for line in _remarks(result):
        console.print(escaped(line))


def _cells(file: FileResult, baselines: Sequence[str | None]) -> list[str]:
    figures = file.figures
    if not figures:
        return ["", "failed" if file.status == "failed" else "none", "", "", "", ""]
    latency, ratio = figures.latency, figures.ratio
    interval = "none" if ratio.low is None else f"{ratio.low:.3f} .. {ratio.high:.3f}"
    return [
        "-" if figures.memory_bytes is None else f"{figures.memory_bytes / 1e6:.0f}",
        f"{latency.median_ms:.2f}",
        f"{latency.p90_ms:.2f}",
        f"{latency.p99_ms:.2f}",
        f"{ratio.median:.3f}",
        "baseline" if file.name in baselines else interval,
    ]


def _share(file: FileResult, name: str) -> str:
    value = getattr(file.accuracy, name) if file.accuracy else None
    return "-" if value is None else f"{value:.1%}"


def _remarks(result: BenchResult) -> list[str]:
    machine = result.machine
    lines = [
        f"{file.name}: cannot run on this system, {file.reason}"
        for file in result.files
        if file.status == "not runnable"
    ]
    for file in result.files:
        factor = slow_down(file.sustained)
        if factor is not None:
            minutes = file.sustained[-1].seconds / 60
            lines.append(f"{file.name}: after {minutes:.1f} minutes without a pause {factor:.2f} times as long")
    if machine.busy:
        lines.append(
            f"note: load average {machine.load_average} on {machine.cores} cores at the start: other work makes the "
            "latencies too long; the ratios suffer less"
        )
    return lines
