"""`pmsi-sweep`: a plan of training runs in, a table that compares them out."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.console.terminal import escaped, say
from pmsi_mobile.errors import MeasurementError, PmsiError

if TYPE_CHECKING:
    from rich.console import Console

    from pmsi_mobile.data.splits import DataSet
    from pmsi_mobile.experiments.cost import Cost
    from pmsi_mobile.experiments.plan import Plan, Run


Jobs = Annotated[int | None, typer.Option(min=1, help="Runs side by side, with one thread each [default: 1].")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Train on a Ray cluster, one run per GPU (or core, where it has none): auto (the cluster that this "
        "machine belongs to), local (all of this machine) or HOST:PORT.",
    ),
]


def sweep(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="YAML: recipes, seeds, folds, grid.")],
    data: Annotated[Path | None, typer.Option(help="Folder of photos [default: the plan's].")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the sweep [default: sweeps/<name of PLAN>].")] = None,
    jobs: Jobs = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrule a setting of every recipe.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the runs cost, and train nothing.")] = False,
    ray: RayAddress = None,
) -> None:
    """Train every recipe of PLAN on every fold and seed, and compare them photo by photo.

    The same command goes on after an interrupt: what is done is skipped, a run that was begun is resumed.
    """
    from pmsi_mobile.config import parse_assignments
    from pmsi_mobile.experiments.plan import read_plan
    from pmsi_mobile.files import check_photo_folder

    plan = read_plan(plan_file, parse_assignments(assignments or []))
    photos = data or plan.data
    if photos is None:
        raise PmsiError(f"{plan_file} names no data: add 'data: FOLDER' to it, or pass --data FOLDER")
    check_photo_folder(photos)
    run_sweep(plan, photos, output or Path("sweeps") / plan_file.stem, jobs, ray=ray, dry_run=dry_run)


def run_sweep(
    plan: "Plan",
    photos: Path,
    root: Path,
    jobs: int | None = None,
    *,
    ray: str | None = None,
    dry_run: bool = False,
    others: Iterable[Path] = (),
) -> None:
    """The sweep of `plan` in `root`, `jobs` runs at a time (one, without) or on the Ray cluster at the address `ray`.
    others: folders of sweeps whose finished runs are taken over where they are the same.

    Raises MeasurementError when runs failed, after the others have ended.
    """
    from pmsi_mobile.console.terminal import plain_console
    from pmsi_mobile.files import check_writable

    run_all = _runner(jobs, ray)
    check_writable(root, photos)
    console = plain_console(err=True)
    folds = _folds(plan, photos, root, console)

    from pmsi_mobile.experiments.execute import is_done
    from pmsi_mobile.experiments.shared import take_over

    _check_settings(plan, root)
    left = [run for run in plan.runs if not is_done(root, run)]
    if dry_run:
        _print_cost(plan, left, folds, jobs or 1)
        return
    for run in take_over(left, root, others):
        left.remove(run)
        console.print(escaped(f"taken from another table: {run.title}"))
    failures = _train(left, len(plan.runs), root, photos, run_all, console)
    _print_table(plan, root)
    if failures:
        raise MeasurementError(f"{len(failures)} of {len(plan.runs)} runs failed; the same command tries them again")
    say(f"next: read {root / 'table.md'}")


def _runner(jobs: int | None, ray: str | None) -> Callable[..., None]:
    """What trains runs: here, or on the Ray cluster at an address."""
    if ray and jobs:
        raise PmsiError("--jobs is not for --ray: as many runs as the cluster has room for are side by side")
    if ray:
        from pmsi_mobile.experiments import on_ray

        return partial(on_ray.run_all, address=ray)
    from pmsi_mobile.experiments import local

    return partial(local.run_all, jobs=jobs or 1)


def _folds(plan: "Plan", photos: Path, root: Path, console: "Console") -> "list[DataSet]":
    """The data set of each fold, recorded in the sweep when it is begun."""
    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.data.folds import make_folds
    from pmsi_mobile.data.splits import load_data, open_data, save_data
    from pmsi_mobile.experiments.execute import split_record

    records = [split_record(root, fold) for fold in range(plan.folds)]
    if not all(record.is_file() for record in records):
        config = plan.runs[0].config.data
        fractions = {"val_fraction": config.val_fraction, "test_fraction": config.test_fraction}
        with progress("checking photos") as report:
            data = open_data(photos, **fractions, seed=0, progress=report)
        for note in data.notes:
            console.print(escaped(f"note: {note}"))
        folds = [data]
        if plan.folds > 1:
            with progress("looking for near-duplicates") as report:
                folds, repeated = make_folds(data, plan.folds, report)
            console.print(f"{repeated} photos have a near-duplicate, which is in the same fold")
        if not all(fold.test for fold in folds):
            raise PmsiError(f"{photos} has no test split: set data.test_fraction, or folds in the plan")
        for fold, record in zip(folds, records, strict=True):
            save_data(fold, record)
    return [load_data(record, photos) for record in records]


def _check_settings(plan: "Plan", root: Path) -> None:
    """A run that was trained with other settings than the plan says would be compared as if it had those."""
    from pmsi_mobile.config import read_config
    from pmsi_mobile.experiments.shared import comparable

    for run in plan.runs:
        saved = root / run.folder / "config.yaml"
        if saved.is_file() and comparable(read_config(saved), run) != comparable(run.config, run):
            raise PmsiError(
                f"{root / run.folder} was trained with other settings than {plan.path} says (see {saved}): "
                "remove the folder, rename the recipe, or choose another --output"
            )


def _print_cost(plan: "Plan", left: "Sequence[Run]", folds: "list[DataSet]", jobs: int) -> None:
    from collections import Counter

    from rich.table import Table

    from pmsi_mobile.console.progress import progress
    from pmsi_mobile.console.terminal import console_for
    from pmsi_mobile.experiments.cost import estimate, total_hours

    photos = max(len(fold.train) for fold in folds)
    with progress("timing a batch of each recipe") as report:
        costs: list[Cost] = estimate(plan, len(folds[0].classes), photos, report)
    undone = Counter(run.recipe for run in left)
    table = Table(title=f"{len(plan.runs)} runs, {len(left)} left; per run, {photos} training photos")
    for column in ("recipe", "runs", "left", "image passes", "PMAC", "hours, one thread"):
        table.add_column(column, justify="left" if column == "recipe" else "right")
    for cost in costs:
        figures = (f"{cost.image_passes:.0f}", f"{cost.macs / 1e15:.3f}", f"{cost.hours:.2f}")
        table.add_row(cost.recipe, str(cost.runs), str(undone[cost.recipe]), *figures)
    console_for(table).print(table)
    typer.echo(f"{total_hours(costs, undone, jobs):.1f} hours with --jobs {jobs}, without reading photos")


def _train(
    left: "Sequence[Run]", total: int, root: Path, photos: Path, run_all: Callable[..., None], console: "Console"
) -> "list[Run]":
    """Train what is left; the runs that failed."""
    from pmsi_mobile.console.progress import progress

    failures = []
    done = total - len(left)
    if done:
        console.print(f"{done} of {total} runs are done already")
    with progress("runs") as report:
        report(done, total)

        def started(run: "Run") -> None:
            console.print(escaped(f"training {run.title}"))

        def ended(run: "Run", reason: str | None) -> None:
            nonlocal done
            done += 1
            if reason:
                failures.append(run)
            word = "failed" if reason else "done"
            console.print(escaped(f"{word}: {run.title}"))
            if reason:
                console.print(escaped(f"  {reason}"))
            report(done, total)

        run_all(left, root, photos, started=started, ended=ended)
    return failures


def _print_table(plan: "Plan", root: Path) -> None:
    from pmsi_mobile.experiments.comparison import compare
    from pmsi_mobile.experiments.table import markdown, write_table

    rows = compare(plan, root)
    if not rows:
        return
    for path in write_table(rows, plan.against, root):
        say(f"wrote {path}")
    typer.echo(markdown(rows, plan.against))


main = entry_point(sweep)

if __name__ == "__main__":
    main()
