"""Recipes compared photo by photo."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.experiments.execute import is_done
from pmsi_mobile.experiments.plan import Plan
from pmsi_mobile.records import PREDICTIONS

DRAWS = 10_000
_CHUNK = 500

Right = Mapping[int, Mapping[str, bool]]
"""Seed -> photo -> whether its class was predicted."""


@dataclass(frozen=True)
class Row:
    """One recipe. Shares in 0..1; `difference`, `low` and `high` (95 %) are to the named recipe, None for itself and
    where no photo was predicted by both. `seeds` are those whose folds are all done."""

    recipe: str
    seeds: tuple[int, ...]
    photos: int
    top1: float
    deviation: float | None
    difference: float | None
    low: float | None
    high: float | None
    minutes: float
    image_passes: float


def compare(plan: Plan, root: Path) -> list[Row]:
    """A row for each recipe that has a seed with all folds done, in the plan's order."""
    right = {recipe: _right(plan, root, recipe) for recipe in plan.recipes}
    baseline = right[plan.against]
    return [_row(plan, root, recipe, right[recipe], baseline) for recipe in plan.recipes if right[recipe]]


def paired_difference(
    mine: NDArray[np.bool_], other: NDArray[np.bool_], draws: int = DRAWS, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of `mine` - `other`, [seeds, photos] each, with its 95 % bootstrap interval over photos and seeds."""
    difference = mine.astype(np.float32) - other.astype(np.float32)
    seeds, photos = difference.shape
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - start)
        of_photos = generator.multinomial(photos, np.full(photos, 1 / photos), count).astype(np.float32)
        of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), count).astype(np.float32)
        means.append(np.einsum("ds,sp,dp->d", of_seeds, difference, of_photos, optimize=True) / (seeds * photos))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(difference.mean()), float(low), float(high)


def _right(plan: Plan, root: Path, recipe: str) -> Right:
    """Of the seeds with all folds done."""
    right = {}
    for seed in plan.seeds:
        runs = [run for run in plan.runs if run.recipe == recipe and run.seed == seed]
        if all(is_done(root, run) for run in runs):
            right[seed] = {
                photo: correct
                for run in runs
                for photo, correct in read_predictions(root / run.folder / PREDICTIONS).items()
            }
    return right


def read_predictions(path: Path) -> dict[str, bool]:
    """Photo -> whether its class was predicted. Raises PmsiError for a file that is no table of predictions."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return {row["photo"]: row["predicted"] == row["class"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise PmsiError(
            f"{path} is no table of predictions ({error!r}): remove its folder to train the run again"
        ) from None


def _row(
    plan: Plan,
    root: Path,
    recipe: str,
    right: Mapping[int, Mapping[str, bool]],
    baseline: Mapping[int, Mapping[str, bool]],
) -> Row:
    tops = [sum(photos.values()) / len(photos) for photos in right.values()]
    difference = low = high = None
    shared = [seed for seed in right if seed in baseline]
    if recipe != plan.against and shared:
        photos = sorted(set.intersection(*(set(of[seed]) for of in (right, baseline) for seed in shared)))
        difference, low, high = paired_difference(_matrix(right, shared, photos), _matrix(baseline, shared, photos))
    runs = [run for run in plan.runs if run.recipe == recipe and run.seed in right]
    figures = [_figures(root / run.folder / "metrics.csv") for run in runs]
    return Row(
        recipe=recipe,
        seeds=tuple(right),
        photos=max(len(photos) for photos in right.values()),
        top1=float(np.mean(tops)),
        deviation=float(np.std(tops, ddof=1)) if len(tops) > 1 else None,
        difference=difference,
        low=low,
        high=high,
        minutes=sum(seconds for seconds, _ in figures) / 60 / len(runs),
        image_passes=sum(passes for _, passes in figures) / len(runs),
    )


def _matrix(right: Right, seeds: Sequence[int], photos: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([[right[seed][photo] for photo in photos] for seed in seeds])


def _figures(metrics: Path) -> tuple[float, float]:
    """Seconds of training and passes per training photo, of a whole run."""
    with open(metrics, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return sum(float(row["seconds"]) for row in rows), sum(float(row["image_passes"]) for row in rows)
