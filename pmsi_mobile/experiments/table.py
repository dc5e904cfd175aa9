"""The table of a sweep: Markdown, CSV and a picture."""

from collections.abc import Sequence
from pathlib import Path

from pmsi_mobile import records
from pmsi_mobile.experiments.comparison import DRAWS, Row
from pmsi_mobile.files import atomic_write, write_text
from pmsi_mobile.plot_names import plot_names


def write_table(rows: Sequence[Row], against: str, folder: Path) -> list[Path]:
    """Write table.md, table.csv and table.png; returns their paths."""
    paths = [folder / f"table.{suffix}" for suffix in ("md", "csv", "png")]
    write_text(paths[0], markdown(rows, against))
    records.write_csv(paths[1], [_cells(row) for row in rows])
    _plot(rows, against, paths[2])
    return paths


def markdown(rows: Sequence[Row], against: str) -> str:
    """A row per recipe, and how to read it."""
    lines = [
        f"| recipe | seeds | photos | passes | minutes | top-1 (%) | sd | minus {against} (95 % interval) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row.recipe.replace("|", "\\|")
        deviation = f"{100 * row.deviation:.2f}" if row.deviation is not None else "-"
        lines.append(
            f"| {name} | {len(row.seeds)} | {row.photos} | {row.image_passes:.0f} | {row.minutes:.1f} | "
            f"{100 * row.top1:.2f} | {deviation} | {_difference(row)} |"
        )
    lines += [
        "",
        "top-1: the mixed heads, mean over the seeds; sd: standard deviation over the seeds. passes: forward passes of "
        "each training photo in a run, its teachers' counted; minutes: of training, per run. The difference is paired "
        f"photo by photo and seed by seed, its interval from {DRAWS:,} bootstrap draws over photos and seeds.",
    ]
    return "\n".join(lines) + "\n"


def _difference(row: Row) -> str:
    if row.difference is None or row.low is None or row.high is None:
        return "-"
    return f"{100 * row.difference:+.2f} ({100 * row.low:+.2f} .. {100 * row.high:+.2f})"


def _cells(row: Row) -> dict[str, float | str]:
    optional = {"deviation": row.deviation, "difference": row.difference, "low": row.low, "high": row.high}
    return {
        "recipe": row.recipe,
        "seeds": " ".join(map(str, row.seeds)),
        "photos": row.photos,
        "image_passes": row.image_passes,
        "minutes": row.minutes,
        "top1": row.top1,
        **{name: "" if value is None else value for name, value in optional.items()},
    }


def _plot(rows: Sequence[Row], against: str, path: Path) -> None:
    """Top-1 per recipe, and its difference with the interval."""
    from matplotlib.figure import Figure

    names, families = plot_names([row.recipe for row in rows])
    heights = range(len(rows))
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.errorbar(
        [100 * row.top1 for row in rows],
        heights,
        xerr=[100 * (row.deviation or 0) for row in rows],
        fmt="o",
        color="tab:blue",
        capsize=3,
    )
    left.set_yticks(heights, names, family=families, parse_math=False)
    left.invert_yaxis()
    left.set(xlabel="top-1 (%), bars: standard deviation over seeds")
    compared = [(height, row) for height, row in zip(heights, rows, strict=True) if row.difference is not None]
    for height, row in compared:
        low, middle, high = (100 * (value or 0.0) for value in (row.low, row.difference, row.high))
        colour = "tab:green" if low > 0 else "tab:red" if high < 0 else "tab:grey"
        right.plot([low, high], [height, height], color=colour, lw=2)
        right.plot([middle], [height], "o", color=colour)
    right.axvline(0, color="black", lw=0.8)
    [shown], families = plot_names([against])
    right.set_xlabel(f"points above {shown}, 95 % interval", family=families, parse_math=False)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png")
