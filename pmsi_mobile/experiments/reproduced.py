"""A reproduced table: the paper's figures beside ours, as Markdown, CSV and a picture."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pmsi_mobile import records
from pmsi_mobile.experiments.execute import is_done
from pmsi_mobile.experiments.plan import Plan, Run
from pmsi_mobile.experiments.reproduction import Column, Printed, Reproduction
from pmsi_mobile.files import atomic_write, write_text
from pmsi_mobile.plot_names import plot_names

HEADS = "heads.csv"


@dataclass(frozen=True)
class Cell:
    """Percent. deviation: over the seeds, None for one; seeds: those whose folds are all done."""

    data: str
    row: str
    column: str
    paper: float | None
    ours: float | None
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Block:
    """The part of a table that is of one data set. of: the data set that the paper's figures are of."""

    data: str
    of: str
    cells: tuple[Cell, ...]


def corrupted_heads(corruption: str) -> str:
    """The name of a run's table of accuracies on corrupted photos."""
    return f"heads-{corruption.replace(':', '-')}.csv"


def collect(table: Reproduction, plan: Plan, root: Path, data: str, paper: Printed) -> Block:
    """Every cell of a data set's part, from the runs of the sweep in `root`."""
    cells = []
    for row in table.recipes:
        for position, (name, column) in enumerate(table.columns.items()):
            tops = _tops(plan, root, row, column)
            cells.append(
                Cell(
                    data=data,
                    row=row,
                    column=name,
                    paper=paper.rows[row][position],
                    ours=float(np.mean(tops)) if tops else None,
                    deviation=float(np.std(tops, ddof=1)) if len(tops) > 1 else None,
                    seeds=len(tops),
                )
            )
    return Block(data, paper.data, tuple(cells))


def _tops(plan: Plan, root: Path, recipe: str, column: Column) -> list[float]:
    """Percent of each seed with all folds done, which weigh by their photos; none where there is no such head."""
    tops = []
    for seed in plan.seeds:
        runs = [run for run in plan.runs if run.recipe == recipe and run.seed == seed]
        if all(is_done(root, run) for run in runs):
            found = [_top(root, run, column) for run in runs]
            counted = [top for top in found if top is not None]
            if len(counted) == len(runs):
                photos = sum(count for _, count in counted)
                tops.append(100 * sum(share * count for share, count in counted) / photos)
    return tops


def _top(root: Path, run: Run, column: Column) -> tuple[float, int] | None:
    """Share and number of test photos."""
    file = root / run.folder / (corrupted_heads(column.corruption) if column.corruption else HEADS)
    if not file.is_file():
        return None
    with open(file, encoding="utf-8", newline="") as lines:
        heads = {row["head"]: row for row in csv.DictReader(lines) if row["split"] == "test"}
    only = next(iter(heads)) if len(heads) == 1 else None
    head = only if column.head in ("final", "concat") and only else "mix" if column.head == "final" else column.head
    return (float(heads[head]["top1"]), int(heads[head]["photos"])) if head in heads else None


def write_reproduced(table: Reproduction, blocks: Sequence[Block], conditions: str, folder: Path) -> list[Path]:
    """Write table.md, table.csv and table.png; returns their paths."""
    paths = [folder / f"table.{suffix}" for suffix in ("md", "csv", "png")]
    write_text(paths[0], markdown(table, blocks, conditions))
    records.write_csv(paths[1], [_fields(cell) for block in blocks for cell in block.cells])
    _plot(table, blocks, paths[2])
    return paths


def markdown(table: Reproduction, blocks: Sequence[Block], conditions: str) -> str:
    """Each data set's part in the shape in which the paper prints it."""
    lines = [f"# {table.title}", "", conditions]
    for block in blocks:
        other = "" if block.of == block.data else f" (the paper's figures: {block.of}; the order can be compared)"
        lines += ["", f"## {block.data}{other}", "", "| | " + " | ".join(table.columns) + " |"]
        lines.append("|---" * (1 + len(table.columns)) + "|")
        for row in table.recipes:
            shown = [_shown(cell) for cell in block.cells if cell.row == row]
            lines.append(f"| {row} | " + " | ".join(shown) + " |")
    lines += ["", "Top-1 in percent: the paper's, ours with its standard deviation over the seeds, the difference."]
    return "\n".join(lines) + "\n"


def _shown(cell: Cell) -> str:
    if cell.paper is None and cell.ours is None:
        return "-"
    paper = "-" if cell.paper is None else f"{cell.paper:.1f}"
    if cell.ours is None:
        return f"{paper} / not measured"
    deviation = "" if cell.deviation is None else f" ± {cell.deviation:.1f}"
    difference = "" if cell.paper is None else f" ({cell.ours - cell.paper:+.1f})"
    return f"{paper} / {cell.ours:.1f}{deviation}{difference}"


def _fields(cell: Cell) -> Mapping[str, float | str]:
    both = cell.ours is not None and cell.paper is not None
    values = {
        "paper": cell.paper,
        "ours": cell.ours,
        "difference": cell.ours - cell.paper if both else None,  # type: ignore[operator]
        "deviation": cell.deviation,
    }
    named = {"data": cell.data, "row": cell.row, "column": cell.column}
    return {**named, **{name: "" if value is None else value for name, value in values.items()}, "seeds": cell.seeds}


def _plot(table: Reproduction, blocks: Sequence[Block], path: Path) -> None:
    """Bars, a panel per data set and column: the paper's and ours."""
    from matplotlib.figure import Figure

    panels = [(block, column) for block in blocks for column in table.columns]
    names, families = plot_names(list(table.recipes))
    figure = Figure(figsize=(2.2 + 2.6 * len(panels), 1.4 + 0.45 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    heights = np.arange(len(names))
    for axis, (block, column) in zip(axes, panels, strict=True):
        cells = [cell for cell in block.cells if cell.column == column]
        papers = [cell.paper or 0 for cell in cells]
        axis.barh(heights - 0.2, papers, 0.38, color="lightgrey", label="the paper's")
        axis.barh(
            heights + 0.2,
            [cell.ours or 0 for cell in cells],
            0.38,
            xerr=[cell.deviation or 0 for cell in cells],
            color="tab:blue",
            label="ours",
        )
        other = "" if block.of == block.data else f" (the paper's: {block.of})"
        [shown], fonts = plot_names([f"{block.data}{other}"])
        axis.set_title(f"{shown}\n{column}", fontsize=9, family=fonts, parse_math=False)
        values = [value for cell in cells for value in (cell.paper, cell.ours) if value is not None]
        axis.set_xlim(max(0, min(values, default=0) - 10), min(100, max(values, default=100) + 4))
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(heights, names, family=families, parse_math=False)
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, fontsize=8)
    axes[0].set_xlabel("top-1 (%); the axis does not begin at 0")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
