"""The paper's tables as plans: what is trained for each, at which scale, and what the paper prints."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict

from pmsi_mobile.config import load_config
from pmsi_mobile.data.corruptions import CorruptionName
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.experiments.plan import Settings
from pmsi_mobile.files import write_text
from pmsi_mobile.methods.registry import build_network, phases

TABLES = ("table2", "table3", "table4", "table5", "table6", "table7", "figure4")
FIGURES = {"figure1": "table6"}
"""Figure -> the table whose picture it is."""
Scale = Literal["paper", "small"]


class Column(BaseModel):
    """What a column shows. head: of the network; `final` is Mix, `concat` the concat classifier, and both the only head
    of a network with one. corruption: what was done to the photos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    head: str
    corruption: CorruptionName | None = None


class _Scale(BaseModel):
    """passes: of every run over each training photo, whatever its method's phases; None: all runs have the same
    epochs, as in the paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str
    seeds: tuple[int, ...]
    folds: int = 1
    passes: int | None = None
    set: Settings = {}


class Reproduction(BaseModel):
    """A table of the paper. recipes: row -> settings, as in a plan; paper: data set -> row -> percent by column;
    explained: the row whose network's Grad-CAM is drawn too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    paper_scale: _Scale
    small_scale: _Scale
    recipes: dict[str, Settings]
    columns: dict[str, Column]
    paper: dict[str, dict[str, list[float | None]]]
    explained: str | None = None


@dataclass(frozen=True)
class Budget:
    """How much a table may cost; None for what its scale says. epochs: of every run; passes: of every run over each
    training photo, of which a method with four phases has four in an epoch; size: side of the input in pixels."""

    scale: Scale = "paper"
    epochs: int | None = None
    passes: int | None = None
    seeds: int | None = None
    size: int | None = None


class Printed(NamedTuple):
    """Percent as the paper prints them, row -> by column, and of which data set."""

    data: str
    rows: dict[str, list[float | None]]


def read_reproduction(name: str) -> Reproduction:
    """A table's definition. Raises PmsiError for a name that is none."""
    table = FIGURES.get(name, name)
    if table not in TABLES:
        raise PmsiError(f"there is no '{name}': choose one of {', '.join((*TABLES, *FIGURES))}")
    text = resources.files("pmsi_mobile").joinpath(f"reproductions/{table}.yaml").read_text(encoding="utf-8")
    return Reproduction.model_validate(yaml.safe_load(text))


def write_plan(table: Reproduction, budget: Budget, path: Path) -> None:
    """The table as a plan of pmsi-sweep. Raises PmsiError for a budget in both epochs and passes."""
    if budget.epochs and budget.passes:
        raise PmsiError("--epochs and --passes both say how long a run is: give one of them")
    scale = table.paper_scale if budget.scale == "paper" else table.small_scale
    settings, recipes = dict(scale.set), table.recipes
    passes = None if budget.epochs else budget.passes or scale.passes
    if passes:
        recipes = {
            name: {**own, "train.epochs": max(1, round(passes / _phases(scale.preset, {**settings, **own})))}
            for name, own in recipes.items()
        }
    if budget.epochs:
        settings["train.epochs"] = budget.epochs
    if budget.size:
        # The paper resizes to 512 and crops 448.
        settings |= {"preprocessing.crop": budget.size, "preprocessing.resize": round(budget.size * 8 / 7)}
    plan: dict[str, Any] = {
        "folds": scale.folds,
        "seeds": list(range(budget.seeds)) if budget.seeds else list(scale.seeds),
        "preset": scale.preset,
        "set": settings,
        "recipes": recipes,
    }
    write_text(path, f"# {table.title}\n" + yaml.safe_dump(plan, sort_keys=False, width=120))


def _phases(preset: str, settings: Settings) -> int:
    config = load_config(preset, settings)
    return len(phases(config, build_network(config, num_classes=2, load_weights=False).head_names))


def printed(table: Reproduction, layout: str) -> Printed:
    """What the paper prints for a data set; for photos that it does not have, what it prints for CUB."""
    data = layout if layout in table.paper else next(iter(table.paper))
    return Printed(data, table.paper[data])
