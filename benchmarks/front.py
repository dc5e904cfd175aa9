"""The files of several networks in one plane of latency and accuracy, with the Pareto front.

    pmsi-bench models/ --accuracy photos/ --report front.csv
    python benchmarks/front.py front.csv front.png

pmsi-bench compares the files of one network. Files of different networks that one call timed, in turns, can be laid
side by side here: the call's photos have to be ones that none of the networks was trained on.
"""

import csv
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from pmsi_bench.results.choice import Candidate, pareto_front
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.plot_names import plot_names

MARKERS = "osD^vP*X"


class Point(NamedTuple):
    """A file. network: its name without precision and suffix; top1: in 0..1."""

    file: str
    network: str
    runtime: str
    precision: str
    latency_ms: float
    top1: float


def front(
    table: Annotated[Path, typer.Argument(metavar="CSV", help="Report of pmsi-bench --accuracy.")],
    picture: Annotated[Path, typer.Argument(metavar="PNG")],
) -> None:
    """Draw the files of CSV that passed parity, and print those that no other one beats in both."""
    from matplotlib.figure import Figure

    points = _read(table)
    best = pareto_front([Candidate(point.file, point.latency_ms, (), point.top1) for point in points])
    networks = list(dict.fromkeys(point.network for point in points))
    kinds = list(dict.fromkeys(f"{point.runtime}, {point.precision}" for point in points))
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    corners = [(each.latency_ms, 100 * each.top1) for name in best for each in points if each.file == name]
    axes.step([x for x, _ in corners], [y for _, y in corners], where="post", color="black", lw=1, label="the front")
    for point in points:
        colour = f"C{networks.index(point.network)}"
        marker = MARKERS[kinds.index(f"{point.runtime}, {point.precision}") % len(MARKERS)]
        axes.plot(point.latency_ms, 100 * point.top1, marker, color=colour, markersize=8, alpha=0.8)
    for number, name in enumerate(plot_names(networks)[0]):
        axes.plot([], [], "o", color=f"C{number}", label=name)
    for number, kind in enumerate(kinds):
        axes.plot([], [], MARKERS[number % len(MARKERS)], color="grey", label=kind)
    axes.set(xscale="log", xlabel="median ms per image (logarithmic)", ylabel="top-1 (%)")
    axes.grid(which="both", alpha=0.25)
    axes.legend(fontsize=8)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    say(f"wrote {picture}")
    for name in best:
        say(name)


def _read(table: Path) -> list[Point]:
    try:
        with open(table, encoding="utf-8", newline="") as lines:
            points = [_point(row) for row in csv.DictReader(lines) if row["parity"] == "passed" and row["top1"]]
    except (OSError, ValueError, KeyError) as error:
        raise PmsiError(f"{table} is no CSV report of pmsi-bench: {error}") from None
    if not points:
        raise PmsiError(f"{table} has no file that passed parity with a top-1: give pmsi-bench --accuracy PHOTOS")
    return points


def _point(row: dict[str, str]) -> Point:
    network = Path(row["file"]).stem.removesuffix(f"-{row['precision']}")
    return Point(row["file"], network, row["runtime"], row["precision"], float(row["median_ms"]), float(row["top1"]))


if __name__ == "__main__":
    entry_point(front)()
