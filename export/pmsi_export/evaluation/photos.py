"""The photos that a model is evaluated on."""

from collections.abc import Callable
from pathlib import Path

from pmsi_export.evaluation.model import Model
from pmsi_mobile.config import load_config, read_config
from pmsi_mobile.data.dataset import recorded_splits
from pmsi_mobile.data.splits import Photo, known_photos, photos_for_evaluation
from pmsi_mobile.errors import PmsiError


def photos_of(
    model: Model, data: Path, split: str, run: Path | None, progress: Callable[[int, int], None]
) -> tuple[tuple[Photo, ...], tuple[str, ...]]:
    """The photos of a split of `data` (`photos_for_evaluation`) without those that were trained on, and notes.

    run: the run folder that the model comes from; by default, where there is one, the folder that it is in.
    Raises PmsiError for a `run` that is of other classes or has no record of its photos.
    """
    folder = run or model.path.parent
    record = folder / "data.json"
    known = known_photos(record, model.classes, model.trained_on)
    if run and not known:
        recorded_splits(record)  # says what is wrong with it
        raise PmsiError(f"{record} is of other classes than {model.path}: give the run that it comes from")
    recorded = folder / "config.yaml"
    config = model.config or (read_config(recorded) if known and recorded.exists() else load_config("mobile"))
    photos, notes = photos_for_evaluation(
        data,
        model.classes,
        split,
        val_fraction=config.data.val_fraction,
        test_fraction=config.data.test_fraction,
        seed=config.seed,
        known=known,
        progress=progress,
    )
    return photos, notes if known else (*notes, _unknown(model.path))


def _unknown(model: Path) -> str:
    return (
        f"{model} does not say what it was trained on, and no data.json of its run is beside it: whether these photos "
        "are among that cannot be known (--run FOLDER names the run)"
    )
