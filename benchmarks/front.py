"""The files of several networks in one plane of latency and accuracy, with the Pareto front.

    pmsi-bench models/ --accuracy photos/ --report front.csv
    python benchmarks/front.py front.csv front.png

pmsi-bench compares the files of one network. Files of different networks that one call timed, in turns, can be laid
side by side here: the call's photos have to be ones that none of the networks was trained on.
"""

import csv
from pathlib import Path
from typing import Annotated

import typer

from pmsi_bench.results.choice import Candidate, pareto_front
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.plot_names import plot_names


def front(
    table: Annotated[Path, typer.Argument(metavar="CSV", help="Report of pmsi-bench --accuracy.")],
    picture: Annotated[Path, typer.Argument(metavar="PNG")],
) -> None:
    """Draw the files of CSV that passed parity, and print those that no other one beats in both."""
    from matplotlib.figure import Figure

    candidates = _read(table)
    best = pareto_front(candidates)
    names, families = plot_names([candidate.name for candidate in candidates])
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    corners = [candidate for name in best for candidate in candidates if candidate.name == name]
    axes.step([each.latency_ms for each in corners], [_percent(each) for each in corners], where="post", lw=1.5)
    for name, candidate in zip(names, candidates, strict=True):
        place = (candidate.latency_ms, _percent(candidate))
        axes.plot(*place, "o", color="tab:blue" if candidate.name in best else "grey")
        axes.annotate(
            name, place, xytext=(5, 4), textcoords="offset points", fontsize=7, family=families, parse_math=False
        )
    axes.set(xscale="log", xlabel="median ms per image (logarithmic)", ylabel="top-1 (%)")
    axes.grid(which="both", alpha=0.25)
    axes.margins(x=0.2)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    say(f"wrote {picture}")
    for name in best:
        say(name)


def _read(table: Path) -> list[Candidate]:
    try:
        with open(table, encoding="utf-8", newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row["parity"] == "passed" and row["top1"]]
            found = [Candidate(row["file"], float(row["median_ms"]), (), float(row["top1"])) for row in rows]
    except (OSError, ValueError, KeyError) as error:
        raise PmsiError(f"{table} is no CSV report of pmsi-bench: {error}") from None
    if not found:
        raise PmsiError(f"{table} has no file that passed parity with a top-1: give pmsi-bench --accuracy PHOTOS")
    return found


def _percent(candidate: Candidate) -> float:
    return 100 * (candidate.top1 or 0)


if __name__ == "__main__":
    entry_point(front)()
