"""A result of a phone as a table on the terminal."""

from collections.abc import Sequence

from pmsi_bench.results.network import ratios_to
from pmsi_bench.results.phone_result import DeviceResult, DeviceRow
from pmsi_mobile.console.terminal import console_for, escaped


def print_result(result: DeviceResult) -> None:
    """The table, and below it what must be known to read it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    device = result.device
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    cores = f", cores {device.affinity}" if device.affinity else ""
    table = Table(
        title=escaped(
            f"{device.name} ({device.soc or 'unknown SoC'}, Android {device.android}), {result.runner}, "
            f"{threads}{cores}"
        ),
        caption=f"times in ms {result.clocks}; ratio to {ratios_to(result.networks)}, with its 95 % interval",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    several = len(result.networks) > 1
    columns = ["file", "prec.", "on", "load", "first", "median", "ratio", "interval", "on-device parity"]
    columns[1:1] = ["network"] * several
    for column in columns:
        text = column in ("file", "prec.", "on", "on-device parity")
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "on-device parity")
    for row in result.rows:
        network = [str(row.network + 1)] * several
        cells = _cells(row, [each.baseline for each in result.networks])
        table.add_row(escaped(row.name), *network, row.precision, row.delegate, *cells, row.parity.status)
    console = console_for(table)
    console.print(table)
    for line in remarks(result):
        console.print(escaped(line))


def _cells(row: DeviceRow, baselines: Sequence[str | None]) -> list[str]:
    figures = row.figures
    if not figures:
        return ["", "", row.status, "", ""]
    ratio = figures.ratio
    interval = "none" if ratio.low is None else f"{ratio.low:.3f} .. {ratio.high:.3f}"
    return [
        _number(figures.load_ms),
        _number(figures.first_inference_ms),
        f"{figures.typical_ms:.2f}{'' if figures.typical_is == 'median' else ' (mean)'}",
        f"{ratio.median:.3f}",
        "baseline" if row.title in baselines else interval,
    ]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def remarks(result: DeviceResult) -> list[str]:
    """What must be known to read the figures, a line each."""
    before, after = result.thermal_before, result.thermal_after
    lines = []
    for row in result.rows:
        if row.reason:
            lines.append(f"{row.title}: {row.status}, {row.reason}")
        if row.note:
            lines.append(f"{row.title}: {row.note}")
        if row.parity.status != "passed" and row.parity.reason and row.parity.reason != row.reason:
            lines.append(f"{row.title}: on-device parity {row.parity.status}, {row.parity.reason}")
        if row.throttled:
            lines.append(f"{row.title}: the phone throttled in one of the rounds, its figures may be too long")
    if before.status is None:
        lines.append("this phone does not say how warm it is: throttling would not be seen")
    elif before.throttled:
        lines.append(f"the phone did not cool down before the start (thermal status {before.status})")
    if before.temperatures:
        warmest = max(before.temperatures, key=lambda name: before.temperatures[name])
        later = f", after {after.temperatures.get(warmest, 0):.0f}" if after and warmest in after.temperatures else ""
        lines.append(f"warmest sensor {warmest}: before {before.temperatures[warmest]:.0f} °C{later}")
    if result.device.awake is False:
        lines.append("the screen was off: many phones slow down then, switch it on")
    if result.device.battery_saver:
        lines.append("the battery saver was on, which slows the phone down: switch it off")
    if not result.fixed_performance:
        lines.append("this phone cannot hold its clocks: expect wider intervals")
    return lines
