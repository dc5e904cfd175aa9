"""The photos that an export is calibrated on and judged by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pmsi_export.checks.gates import CONFIDENT_MARGIN
from pmsi_export.graph.variant import Variant, load_variant
from pmsi_export.runtime.preprocess import load_image
from pmsi_mobile.accuracy import interval
from pmsi_mobile.data.calibration import FOLDER, PHOTOS
from pmsi_mobile.data.files import list_images
from pmsi_mobile.data.splits import Photo, known_photos, load_data, photos_for_evaluation
from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from pmsi_mobile.checkpoint import Checkpoint

FEWEST = 8
"""Photos below which a calibration says nothing of what the network will see."""
BLANK = 2.0
"""Grey levels: the standard deviation of a photo on which there is nothing."""
SAMPLED = 32
"""Calibration photos, spread over all, that are shown to the training network."""


@dataclass(frozen=True)
class EvaluationPhotos:
    """Labelled photos, the training network's probabilities [N, K] of them and its unknown scores [N], where it gives
    any."""

    paths: Sequence[Path]
    labels: Sequence[int]
    reference: NDArray[np.float32]
    unknown_scores: NDArray[np.float64] | None = None


def calibration_photos(folder: Path | None, checkpoint: Path, *, needed: bool) -> list[Path]:
    """Photos of `folder`, or without one those that training kept beside the checkpoint; at most PHOTOS.

    Raises PmsiError when there are none but they are needed.
    """
    kept = checkpoint.parent / FOLDER
    if folder is None and not kept.is_dir():
        if not needed:
            return []
        raise PmsiError(
            f"int8 needs photos to calibrate on and {kept} does not exist: pass --calibration DIR with 100 or more "
            "photos like those that the phone will see"
        )
    photos = list_images(folder or kept)
    # Spread over the folder, for its photos may be sorted by class.
    return photos[:: -(-len(photos) // PHOTOS)]


def evaluation_photos(
    folder: Path | None, path: Path, variant: Variant, progress: Callable[[int, int], None]
) -> tuple[EvaluationPhotos | None, Sequence[str]]:
    """The test (or else val) split of `folder`, or without one the validation photos of the run that made the
    checkpoint `path`; None where those are gone. And notes for the log. `progress(done, total)` counts photos."""
    # Here and not above: photos to calibrate on are looked for without PyTorch.
    from pmsi_export.runtime.reference import reference_runner

    checkpoint = load_variant(path, variant)
    config = checkpoint.config
    photos: Sequence[Photo]
    if folder is None:
        photos, notes = _run_photos(path.parent / "data.json", checkpoint.classes)
        if not photos:
            return None, notes
    else:
        photos, notes = photos_for_evaluation(
            folder,
            checkpoint.classes,
            "auto",
            val_fraction=config.data.val_fraction,
            test_fraction=config.data.test_fraction,
            seed=config.seed,
            known=known_photos(path.parent / "data.json", checkpoint.classes, checkpoint.trained_on),
        )
    runner = reference_runner(checkpoint, variant.head)
    answers = []
    for photo in photos:
        answers.append(runner.answer(load_image(photo.path, config.preprocessing)))
        progress(len(answers), len(photos))
    labels = [photo.label for photo in photos]
    reference = np.stack([answer.probabilities for answer in answers])
    if reason := no_evidence(reference, labels, checkpoint, variant):
        if folder:
            raise PmsiError(f"the photos of {folder} cannot judge a file: {reason}")
        return None, [f"only the golden samples are compared, the run's photos cannot judge a file: {reason}"]
    scores = np.array([answer.unknown_score for answer in answers], np.float64) if variant.unknown_score else None
    return EvaluationPhotos([photo.path for photo in photos], labels, reference, scores), notes


def no_evidence(
    reference: NDArray[np.float32],
    labels: Sequence[int],
    checkpoint: "Checkpoint",
    variant: Variant = Variant(),  # noqa: B008 (frozen)
) -> str | None:
    """Why photos say nothing about a file: the training network, with probabilities [N, K] and true classes, does not
    know what is on them. None where they do."""
    if _unknown(reference, checkpoint):
        return f"the training network is sure of none of the {len(labels)} photos, as it is of its own"
    recorded = _recorded_accuracy(checkpoint, variant)
    right = int((reference.argmax(axis=1) == np.array(labels)).sum())
    if recorded is not None and interval(right / len(labels), len(labels), 0.98)[1] < recorded / 2:
        return (
            f"the training network is right on {right} of {len(labels)}, on its own photos on {recorded:.0%}: "
            "check that each folder has the photos of its class"
        )
    return None


def check_calibration(images: NDArray[np.uint8], checkpoint: "Checkpoint") -> None:
    """Raise PmsiError for photos [N, H, W, 3] that say nothing of what the network will see: too few that differ and
    show anything, or none that the training network, which knows its own, is sure of."""
    from pmsi_export.runtime.reference import reference_runner

    more = "pass --calibration DIR with 100 or more photos like those that the phone will see"
    shown = {hash(image.tobytes()) for image in images if image.std(axis=(0, 1)).max() >= BLANK}
    if len(shown) < FEWEST:
        raise PmsiError(f"int8 is not calibrated on {len(shown)} photos that differ and are not blank: {more}")
    runner = reference_runner(checkpoint)
    some = images[:: -(-len(images) // SAMPLED)]
    if _unknown(np.stack([runner.predict(image) for image in some]), checkpoint):
        raise PmsiError(f"the training network is sure of none of the photos that int8 is calibrated on: {more}")


def _unknown(reference: NDArray[np.float32], checkpoint: "Checkpoint") -> bool:
    """Whether the training network, sure of most of its own photos, is sure of none of others."""
    golden = checkpoint.golden.probabilities.numpy()
    return not _sure(reference).any() and bool(_sure(golden).mean() >= 0.5)


def _sure(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return np.asarray(first - second >= CONFIDENT_MARGIN)


def _recorded_accuracy(checkpoint: "Checkpoint", variant: Variant) -> float | None:
    """Top-1 of the variant's head as training measured it; None where it did not, or at another size."""
    if variant.size is not None:
        return None
    for split in ("test", "val"):
        try:
            heads = checkpoint.metrics[split]["heads"]
            # The baseline's one head has a name of its own.
            recorded = float(heads[variant.head if variant.head in heads else next(iter(heads), "")]["top1"])
        except (LookupError, TypeError, ValueError):
            continue
        if 0 <= recorded <= 1:
            return recorded
    return None


def _run_photos(record: Path, classes: tuple[str, ...]) -> tuple[Sequence[Photo], Sequence[str]]:
    try:
        data = load_data(record)
    except PmsiError as error:
        return (), [f"only the golden samples are compared: {error}"]
    if data.classes != classes:
        return (), [f"only the golden samples are compared: {record} is of another run"]
    return data.val, ()
