"""What a start and what `--resume` of pmsi-train may do with a run folder."""

import shutil
from pathlib import Path
from typing import Any

from pmsi_mobile.config import Config, flatten, load_config, override, read_config, save_config
from pmsi_mobile.console.progress import loading_pytorch
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors
from pmsi_mobile.training.own_teachers import FOLDER

# What a resumed run may change: speed and length, and what only its start needed.
_FREE = frozenset(
    {
        "data.workers",
        "data.cache_gib",
        "train.save_minutes",
        "train.epochs",
        "train.patience",
        "model.weights",
        "model.start_from",
    }
)

_OF_BACKBONE = ("model.backbone", "model.weights", "model.start_from", "model.last_conv")
_OF_HEADS = frozenset(
    key for key in flatten(Config()) if key.startswith(("mosaic.", "model.")) and key not in _OF_BACKBONE
)

_OF_HBP = frozenset({"model.projection", "model.last_block"})


def architecture(checkpoint: Path) -> dict[str, Any]:
    """Overrides that make a run start from a checkpoint's weights: its network, its photos' size, and the file."""
    check_tensors(checkpoint)
    loading_pytorch()
    from pmsi_mobile.checkpoint import load_checkpoint

    config = load_checkpoint(checkpoint).config
    same = {
        key: value
        for key, value in flatten(config).items()
        if key.startswith(("method", "model.", "preprocessing.")) and _has_effect(key, config)
    }
    return same | {"model.weights": "none", "model.start_from": str(checkpoint)}


def is_begun(folder: Path) -> bool:
    """Whether the folder holds a state to go on from; a start that failed before it leaves none."""
    return (folder / "state.pt").exists()


def holds_work(folder: Path) -> bool:
    """Whether `--resume` finds anything to go on from: the run's own state, or that of a teacher of its own."""
    return is_begun(folder) or any(is_begun(teacher) for teacher in folder.glob(f"{FOLDER}/*"))


def resolve(preset: str | None, overrides: dict[str, Any], folder: Path, resume: bool) -> tuple[Config, list[str]]:
    """The configuration that the run is to have, and lines for the log: preset and overrides, or with `--resume` the
    run's own with what may be changed.

    Raises PmsiError when the folder holds a run and `resume` is not given, the other way round, and for a value that
    a resumed run cannot change.
    """
    saved = folder / "config.yaml"
    if not resume:
        if holds_work(folder):
            raise PmsiError(f"{folder} already holds a run: go on with --resume, or choose another --output")
        if (folder / "ckpt.pt").exists():
            raise PmsiError(f"{folder} already holds a trained model, ckpt.pt: choose another --output")
        config = load_config(preset, overrides)
        return config, _without_effect(config, overrides)
    if not saved.exists():
        raise PmsiError(f"{folder} holds no run to resume: check --output, or leave --resume out to start one")
    config = read_config(saved)
    asked = load_config(preset, overrides) if preset else override(config, overrides)
    if not is_begun(folder):
        return asked, []
    old, new = flatten(config), flatten(asked)
    changed = [key for key in old if old[key] != new[key] and key not in _FREE]
    if changed:
        what = ", ".join(f"{key} (is {old[key]}, asked for {new[key]})" for key in changed)
        raise PmsiError(
            f"the run in {folder} was started with other settings: {what}; "
            "leave them out to resume, or start another run with --output"
        )
    if config.train.minutes and "train.epochs" in overrides:
        raise PmsiError(
            f"the run in {folder} ends after {config.train.minutes:g} minutes (train.minutes): leave --epochs out"
        )
    given = {key: new[key] for key in _FREE & overrides.keys() if new[key] != old[key]}
    notes = [f"{key} is {new[key]} from here on, it was {old[key]}" for key in given]
    if "train.epochs" in given:
        notes.append(f"the learning rate goes on along the schedule of {asked.train.epochs} epochs")
    return override(config, given), notes


def _without_effect(config: Config, overrides: dict[str, Any]) -> list[str]:
    """Lines where what is asked for is a matter of heads and phases, or of products, that the method has not."""
    default = flatten(Config())
    asked = [key for key in overrides if not _has_effect(key, config) and overrides[key] != default[key]]
    of_hbp, of_heads = (", ".join(key for key in asked if (key in _OF_HBP) == hbp) for hbp in (True, False))
    return [
        f"{keys}: no effect on {config.method}; --method {other}"
        for keys, other in ((of_heads, "rmg-pmsi has heads on stages"), (of_hbp, "hbp has products of blocks"))
        if keys
    ]


def _has_effect(key: str, config: Config) -> bool:
    return config.method == "hbp" if key in _OF_HBP else key not in _OF_HEADS or config.staged


def begin(folder: Path, config: Config) -> None:
    """Record the configuration of a run that starts here, in place of what a start that failed has left."""
    if (folder / "config.yaml").exists():
        (folder / "data.json").unlink(missing_ok=True)
        shutil.rmtree(folder / "calibration", ignore_errors=True)
    save_config(config, folder / "config.yaml")
