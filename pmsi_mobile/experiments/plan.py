"""A plan: which recipes are trained, on which folds and seeds, and which one the others are compared with."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pmsi_mobile.config import Config, load_config
from pmsi_mobile.errors import PmsiError

Settings = dict[str, Any]
"""Dotted configuration keys -> values, as `--set` takes them."""


class _Document(BaseModel):
    """The YAML of a plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path | None = None
    """Folder of photos, relative to the plan's folder; the command line may name another."""
    folds: Annotated[int, Field(ge=1)] = 1
    """Cross-validation: each labelled photo is predicted once by a network that did not see it. 1: the data set's own
    test split."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    preset: str | None = None
    """None: as for `load_config`, by each recipe's method."""
    settings: Settings = Field(default={}, alias="set")
    """For every recipe."""
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    """Key -> values: every recipe once with each combination."""
    recipes: Annotated[dict[str, Settings | None], Field(min_length=1)]
    """Name -> what is special about it. `teacher: NAME` distils from that recipe's run of the same fold and seed (a
    list: from several); `backbone_of: NAME` starts from that run's backbone; `preset: NAME` takes another preset."""
    against: str | None = None
    """The recipe that the others are compared with [default: the first]."""


@dataclass(frozen=True)
class Run:
    """One training run. folder: relative to the sweep's; teachers, backbone_of: folders of the runs that it is
    distilled from, and whose backbone it starts from."""

    recipe: str
    fold: int
    seed: int
    config: Config
    preset: str | None
    settings: Mapping[str, Any]
    folder: Path
    teachers: tuple[Path, ...]
    backbone_of: Path | None

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.recipe}, fold {self.fold}, seed {self.seed}"

    @property
    def needs(self) -> set[Path]:
        """Folders of the runs that come before this one."""
        return {*self.teachers, *([self.backbone_of] if self.backbone_of else [])}


@dataclass(frozen=True)
class Plan:
    """A plan with all its runs, those that others learn from first."""

    path: Path
    data: Path | None
    folds: int
    seeds: tuple[int, ...]
    recipes: tuple[str, ...]
    against: str
    runs: tuple[Run, ...]


def read_plan(path: Path, extra: Mapping[str, Any] | None = None) -> Plan:
    """Read a plan's YAML; `extra` settings overrule those of the plan.

    Raises PmsiError with the first thing that is wrong, in the plan or in a recipe's configuration.
    """
    document = _read(path)
    recipes = _cross(document)
    against = document.against or next(iter(recipes))
    if against not in recipes:
        raise PmsiError(f"{path}: against: no recipe is called '{against}' (there are {', '.join(recipes)})")
    order = _needed_first(recipes, path)
    runs = [
        _run(name, recipes[name], fold, seed, document, dict(extra or {}), path)
        for seed in document.seeds
        for fold in range(document.folds)
        for name in order
    ]
    data = path.parent / document.data if document.data else None
    return Plan(path, data, document.folds, document.seeds, tuple(recipes), against, tuple(runs))


def _read(path: Path) -> _Document:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _Document.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PmsiError(f"{path} cannot be read as a plan: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PmsiError(f"{path}: {where}: {first['msg']}") from None


def _cross(document: _Document) -> dict[str, Settings]:
    """Every recipe with every combination of the grid, named after what differs."""
    combinations = [
        dict(zip(document.grid, values, strict=True)) for values in itertools.product(*document.grid.values())
    ]
    crossed = {}
    for name, special in document.recipes.items():
        for combination in combinations:
            suffix = "".join(f" {key.rpartition('.')[2]}={value}" for key, value in combination.items())
            crossed[name + suffix] = {**combination, **(special or {})}
    return crossed


def _teachers(settings: Settings) -> list[str]:
    named = settings.get("teacher", [])
    return [named] if isinstance(named, str) else list(named)


def _needs(settings: Settings) -> list[str]:
    return [*_teachers(settings), *([settings["backbone_of"]] if "backbone_of" in settings else [])]


def _needed_first(recipes: Mapping[str, Settings], path: Path) -> list[str]:
    order: list[str] = []

    def add(name: str, later: tuple[str, ...]) -> None:
        if name in later:
            raise PmsiError(f"{path}: recipes need each other in a circle: {' -> '.join((*later, name))}")
        if name not in recipes:
            raise PmsiError(f"{path}: recipe {later[-1]}: no recipe is called '{name}', it cannot be learnt from")
        for needed in _needs(recipes[name]):
            add(needed, (*later, name))
        if name not in order:
            order.append(name)

    for name in recipes:
        add(name, ())
    return order


def _run(name: str, special: Settings, fold: int, seed: int, document: _Document, extra: Settings, path: Path) -> Run:
    def folder(recipe: str) -> Path:
        return Path("runs") / recipe.replace("/", "-") / f"fold{fold}-seed{seed}"

    own = {key: value for key, value in special.items() if key not in ("teacher", "backbone_of", "preset")}
    preset = special.get("preset", document.preset)
    settings = {**document.settings, **own, **extra, "seed": seed}
    teachers = tuple(folder(teacher) for teacher in _teachers(special))
    backbone_of = folder(special["backbone_of"]) if "backbone_of" in special else None
    try:
        config = load_config(preset, settings)
    except PmsiError as error:
        raise PmsiError(f"{path}: recipe {name}: {error}") from None
    return Run(name, fold, seed, config, preset, settings, folder(name), teachers, backbone_of)
