"""Runs that another sweep has trained already."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pmsi_mobile.config import Config, read_config
from pmsi_mobile.experiments.execute import is_done, split_record
from pmsi_mobile.experiments.plan import Run

_UNNEEDED = shutil.ignore_patterns("state.pt", "*.cache", "tensorboard", ".lock")


def take_over(runs: Sequence[Run], root: Path, others: Iterable[Path]) -> list[Run]:
    """Copy into the sweep in `root` each of `runs` that a sweep in `others` has trained to its end, with the same
    settings on the same split; returns those. Runs that learn from others are left out: what taught them is not known.
    """
    taken = []
    sweeps = [other for other in others if other != root]
    for run in runs:
        target = root / run.folder
        if run.needs or target.exists():
            continue
        found = next((folder for other in sweeps for folder in _trained(run, root, other)), None)
        if found:
            part = target.with_name(f"{target.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(found, part, ignore=_UNNEEDED)
            part.rename(target)
            taken.append(run)
    return taken


def _trained(run: Run, root: Path, other: Path) -> Iterator[Path]:
    record, theirs = split_record(root, run.fold), split_record(other, run.fold)
    if not theirs.is_file() or record.read_bytes() != theirs.read_bytes():
        return
    for folder in sorted((other / "runs").glob(f"*/{run.folder.name}")):
        done = is_done(other, replace(run, folder=folder.relative_to(other)))
        if done and comparable(read_config(folder / "config.yaml"), run) == comparable(run.config, run):
            yield folder


def comparable(config: Config, run: Run) -> dict[str, Any]:
    """All values but the files of other runs, which the plan names by their recipes."""
    values = config.model_dump(mode="json")
    del values["train"]["teacher"]
    if run.backbone_of:
        del values["model"]["weights"]
    return values
