"""`pmsi-reproduce`: a table or figure of the paper, from training to the page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pmsi_mobile.commands.sweep import Jobs, RayAddress, run_sweep
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from pmsi_mobile.experiments.plan import Plan
    from pmsi_mobile.experiments.reproduction import Budget, Reproduction

GPU_RATE = 2.2e12
"""Multiply-accumulates a second that a GPU is taken for: a third of the float32 peak of the paper's RTX 2080 Ti."""


def reproduce(
    name: Annotated[str, typer.Argument(metavar="TABLE", help="table2 to table7, figure1 or figure4.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of CUB, Cars, Aircraft or photos of your own; several: a part each."),
    ] = None,
    scale: Annotated[
        Literal["paper", "small"], typer.Option(help="The paper's settings (a GPU), or what two cores finish.")
    ] = "paper",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every run.")] = None,
    passes: Annotated[
        int | None,
        typer.Option(min=1, help="Passes of every run over the photos, of which each phase of a method is one."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Side of the input in pixels.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a setting of every run.")
    ] = None,
    jobs: Jobs = None,
    ray: RayAddress = None,
    output: Annotated[Path | None, typer.Option(help="Folder [default: reproduced/<TABLE>].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the runs cost, and train nothing.")] = False,
) -> None:
    """Train what a table of the paper shows, and print its figures beside ours.

    Each data set is a sweep in a folder of its own; the same command goes on after an interrupt. What another table
    beside it has trained already is taken from there.
    """
    from pmsi_mobile.experiments.reproduction import FIGURES, Budget, read_reproduction
    from pmsi_mobile.files import check_photo_folder

    table = read_reproduction(name)
    budget = Budget(scale, epochs, passes, seeds, size)
    root = output or Path("reproduced") / FIGURES.get(name, name)
    if dry_run and not data:
        _print_cost(table, budget, assignments or [])
        return
    if not data:
        raise PmsiError(f"--data is missing: {name} is of {', '.join(table.paper)}; give the folder of one or more")
    places = {folder: root / folder.resolve().name for folder in data}
    if len(set(places.values())) < len(data):
        raise PmsiError("--data: two folders have the same name, after which their runs' folder is called: rename one")
    for folder in data:
        check_photo_folder(folder)
    if dry_run:
        for folder, place in places.items():
            run_sweep(_plan(table, budget, place, assignments or []), folder, place, jobs, ray=ray, dry_run=True)
    else:
        _reproduce(table, budget, places, assignments or [], root, jobs, ray)


def _plan(table: "Reproduction", budget: "Budget", place: Path, assignments: list[str]) -> "Plan":
    """The plan of a data set's part, as it lies in its folder."""
    from pmsi_mobile.config import parse_assignments
    from pmsi_mobile.experiments.plan import read_plan
    from pmsi_mobile.experiments.reproduction import write_plan

    place.mkdir(parents=True, exist_ok=True)
    write_plan(table, budget, place / "plan.yaml")
    return read_plan(place / "plan.yaml", parse_assignments(assignments))


def _reproduce(
    table: "Reproduction",
    budget: "Budget",
    places: dict[Path, Path],
    assignments: list[str],
    root: Path,
    jobs: int | None,
    ray: str | None,
) -> None:
    from pmsi_mobile.data.splits import load_data
    from pmsi_mobile.experiments.execute import split_record
    from pmsi_mobile.experiments.reproduced import collect, markdown, write_reproduced
    from pmsi_mobile.experiments.reproduction import printed

    blocks, failed, conditions = [], None, ""
    for folder, place in places.items():
        plan = _plan(table, budget, place, assignments)
        try:
            run_sweep(plan, folder, place, jobs, ray=ray, others=sorted(root.parent.glob(f"*/{place.name}")))
        except MeasurementError as error:
            failed = error
        _corrupt(table, plan, place, folder)
        _explain(table, plan, place, folder)
        layout = load_data(split_record(place, 0), folder).layout
        paper = printed(table, layout)
        known = layout if layout in table.paper else folder.resolve().name
        blocks.append(collect(table, plan, place, known, paper))
        conditions = _conditions(plan)
    for path in write_reproduced(table, blocks, conditions, root):
        say(f"wrote {path}")
    for line in markdown(table, blocks, conditions).splitlines():
        say(line)
    if failed:
        raise failed


def _conditions(plan: "Plan") -> str:
    config = plan.runs[0].config
    photos = f"{plan.folds} folds" if plan.folds > 1 else "the data set's test split"
    fewest, most = min(run.config.train.epochs for run in plan.runs), max(run.config.train.epochs for run in plan.runs)
    epochs = f"{fewest} epochs" if fewest == most else f"{fewest} to {most} epochs, as many passes in each run"
    return (
        f"preset {plan.runs[0].preset}, {config.preprocessing.crop} pixels, {epochs}, "
        f"seeds {', '.join(map(str, plan.seeds))}, {photos}"
    )


def _corrupt(table: "Reproduction", plan: "Plan", root: Path, data: Path) -> None:
    """Measure what is missing of the columns of corrupted photos."""
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.data.corruptions import Corruption
    from pmsi_mobile.experiments.corrupted import evaluate_corrupted
    from pmsi_mobile.experiments.execute import is_done
    from pmsi_mobile.experiments.reproduced import corrupted_heads

    missing = [
        (run, Corruption(column.corruption), path)
        for run in plan.runs
        for column in table.columns.values()
        if column.corruption
        and is_done(root, run)
        and not (path := root / run.folder / corrupted_heads(column.corruption)).is_file()
    ]
    if missing:
        with progress("corrupted photos") as report:
            for done, (run, corruption, path) in enumerate(missing):
                evaluate_corrupted(run, root, data, corruption, path)
                report(done + 1, len(missing))


def _explain(table: "Reproduction", plan: "Plan", root: Path, data: Path) -> None:
    """Draw what the explained row's first network looks at in three test photos, of classes far apart."""
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.data.splits import load_data
    from pmsi_mobile.experiments.execute import is_done, split_record
    from pmsi_mobile.explanations import draw, explain_photo

    runs = [run for run in plan.runs if run.recipe == table.explained and is_done(root, run)]
    if not runs:
        return
    photos = sorted(load_data(split_record(root, runs[0].fold), data).test, key=lambda photo: photo.label)
    checkpoint = load_checkpoint(root / runs[0].folder / "ckpt.pt")
    network = checkpoint.network()
    chosen = [photos[position * (len(photos) - 1) // 2] for position in range(3)]
    found = [explain_photo(network, checkpoint, photo.path) for photo in chosen]
    draw(found, checkpoint.classes, root / "explanation.png")
    say(f"wrote {root / 'explanation.png'}")


def _print_cost(table: "Reproduction", budget: "Budget", assignments: list[str]) -> None:
    """What the runs cost on the data sets of the paper."""
    import tempfile

    from rich.table import Table

    from pmsi_mobile.config import parse_assignments
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.console.terminal import console_for
    from pmsi_mobile.data.official import PUBLISHED
    from pmsi_mobile.experiments.cost import estimate
    from pmsi_mobile.experiments.plan import read_plan
    from pmsi_mobile.experiments.reproduction import write_plan

    with tempfile.TemporaryDirectory() as folder:
        plan_file = Path(folder) / "plan.yaml"
        write_plan(table, budget, plan_file)
        plan = read_plan(plan_file, parse_assignments(assignments))
    shown = Table(title=f"{table.title}; {_conditions(plan)}")
    for column in ("data set", "recipe", "runs", "image passes", "PMAC", "GPU hours"):
        shown.add_column(column, justify="left" if column in ("data set", "recipe") else "right")
    hours = 0.0
    for data in table.paper:
        counts = PUBLISHED[data]
        with progress(f"counting {data}") as report:
            costs = estimate(plan, counts.classes, counts.train, report, rate=GPU_RATE)
        for cost in costs:
            each = cost.runs * cost.hours
            hours += each
            figures = (str(cost.runs), f"{cost.image_passes:.0f}", f"{cost.macs / 1e15:.3f}", f"{each:.1f}")
            shown.add_row(data, cost.recipe, *figures)
    console_for(shown).print(shown)
    rate = f"{GPU_RATE / 1e12:.1f} TMAC/s, a third of an RTX 2080 Ti's float32 peak"
    say(f"{hours:.0f} GPU hours for all runs, at {rate}; with --data: hours of this machine")


main = entry_point(reproduce)

if __name__ == "__main__":
    main()
