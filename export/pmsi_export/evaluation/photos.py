"""The photos that a model is evaluated on."""

from collections.abc import Callable
from pathlib import Path

from pmsi_export.evaluation.model import Model
from pmsi_mobile.config import Config, load_config, read_config
from pmsi_mobile.data.dataset import recorded_photos, recorded_splits
from pmsi_mobile.data.splits import Photo, known_photos, photos_for_evaluation
from pmsi_mobile.errors import PmsiError


def photos_of(
    model: Model, data: Path, split: str, run: Path | None, progress: Callable[[int, int], None]
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """The photos of a split of `data` (`photos_for_evaluation`) without those that were trained on, and notes.

    run: the run folder that the model comes from; by default, where there is one, the folder that it is in.
    Raises PmsiError for a `run` that is of other classes or has no record of its photos.
    """
    known, config = _run_of(model, run)
    photos, notes = _of_split(data, model.classes, split, known, config, progress)
    return photos, notes if known else (*notes, _unknown(model.path))


def training_photos(model: Model, data: Path, run: Path | None) -> tuple[Photo, ...] | None:
    """What the model was trained on: the photos of its run that are still there, or else the training split of `data`;
    None where there are none."""
    recorded = recorded_photos(_record(model, run), model.classes)["train"]
    there = tuple(photo for photo in recorded if photo.path.is_file())
    if there:
        return there
    try:
        return _of_split(data, model.classes, "train", *_run_of(model, run))[0]
    except PmsiError:
        return None


def _of_split(
    data: Path,
    classes: tuple[str, ...],
    split: str,
    known: dict[str, str],
    config: Config,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    return photos_for_evaluation(
        data,
        classes,
        split,
        val_fraction=config.data.val_fraction,
        test_fraction=config.data.test_fraction,
        seed=config.seed,
        known=known,
        progress=progress,
    )


def _record(model: Model, run: Path | None) -> Path:
    return (run or model.path.parent) / "data.json"


def _run_of(model: Model, run: Path | None) -> tuple[dict[str, str], Config]:
    """The split of each photo that the model's run knows, by digest, and how it split others."""
    record = _record(model, run)
    known = known_photos(record, model.classes, model.trained_on)
    if run and not known:
        recorded_splits(record)  # says what is wrong with it
        raise PmsiError(f"{record} is of other classes than {model.path}: give the run that it comes from")
    recorded = record.with_name("config.yaml")
    config = model.config or (read_config(recorded) if known and recorded.exists() else load_config("mobile"))
    return known, config


def _unknown(model: Path) -> str:
    return (
        f"{model} does not say what it was trained on, and no data.json of its run is beside it: whether these photos "
        "are among that cannot be known (--run FOLDER names the run)"
    )
