"""Teachers that a run trains itself, before its own network: `train.teacher` names their presets."""

from pathlib import Path

from pmsi_mobile.config import PRESETS, Config, flatten, load_config
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors

FOLDER = "teachers"
"""In the run folder, with a run folder for each."""

_SHARED = (
    "seed",
    "data.",
    "preprocessing.",
    "model.backbone",
    "model.weights",
    "train.epochs",
    "train.minutes",
    "train.batch_size",
    "train.resize",
    "train.precision",
    "train.channels_last",
    "train.compile",
    "train.save_minutes",
)
"""What a teacher has of its student: the photos, where it starts, how long it goes on, and what it computes with."""


def teacher_files(config: Config, folder: Path) -> tuple[Path, ...]:
    """The checkpoints of `config.train.teacher`: where it names a preset, the one that the run in `folder` trains."""
    return tuple(folder / FOLDER / name / "ckpt.pt" if name in PRESETS else Path(name) for name in config.train.teacher)


def own_teachers(config: Config, folder: Path) -> dict[Path, Config]:
    """Run folder -> configuration of each teacher that the run in `folder` trains first: its preset, with what it has
    of the student.

    Raises PmsiError for a preset that cannot be trained that way, and for a student that starts from a checkpoint.
    """
    names = [name for name in config.train.teacher if name in PRESETS]
    if names and config.model.start_from:
        raise PmsiError(
            f"--teacher {names[0]} would be trained from the weights that the backbone starts from, and this run "
            "starts from a checkpoint: train the teacher by itself, and give its ckpt.pt as --teacher"
        )
    shared = {key: value for key, value in flatten(config).items() if key.startswith(_SHARED)}
    return {folder / FOLDER / name: load_config(name, shared) for name in names}


def check_teachers(config: Config, folder: Path) -> None:
    """Raise PmsiError when a teacher cannot be trained, or is no file of tensors: said before PyTorch is loaded."""
    own = own_teachers(config, folder)
    for path in teacher_files(config, folder):
        if path.parent not in own:
            check_tensors(path)
