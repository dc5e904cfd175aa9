"""How often each file is right on labelled photos, and how often it says what PyTorch says."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pmsi_bench.host.process import Worker, WorkerFailed, open_worker
from pmsi_bench.subjects.subject import CHECKPOINT, Subject
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.splits import Photo, has_held_out, known_photos, photos_for_evaluation
from pmsi_mobile.errors import PmsiError

CHUNK_BYTES = 64 << 20
"""Of photos decoded at a time."""


class Accuracy(BaseModel):
    """On labelled photos, preprocessed as the file's contract says. Shares in 0..1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: int
    top1: float
    agreement: float | None
    """Photos on which the file and PyTorch name the same class; null where its checkpoint was not given."""
    corruption: str | None = None
    """What was done to the photos; null for nothing."""


def evaluation_set(data: Path, subjects: Sequence[Subject]) -> tuple[Sequence[Photo], Sequence[str]]:
    """The test, or else the val split of `data`, labelled in the order of the subjects' classes; notes for the log.

    A folder without splits is split as the given checkpoint's run did it, or else as pmsi-train does by default; a note
    says so where photos may have been trained on. What the runs beside the files are known to have trained on is left
    out. Raises PmsiError when the subjects do not have the same classes, and
    for a folder that cannot be used.
    """
    from pmsi_mobile.checkpoint import load_checkpoint
    from pmsi_mobile.config import load_config

    classes = subjects[0].function.classes
    for subject in subjects:
        if subject.function.classes != classes:
            raise PmsiError(
                f"{subject.name} has other classes than {subjects[0].name}: measure the accuracy of each by itself"
            )
    checkpoints = dict.fromkeys(subject.job.model for subject in subjects if subject.format == CHECKPOINT)
    loaded = {path: load_checkpoint(path) for path in checkpoints}
    known: dict[str, str] = {}
    for folder in dict.fromkeys(subject.job.model.parent for subject in subjects):
        # What a run's folder says of its photos holds for the files that were exported into it.
        known |= known_photos(folder / "data.json", classes, frozenset())
    for path, checkpoint in loaded.items():
        known |= known_photos(path.parent / "data.json", classes, checkpoint.trained_on)
        known |= dict.fromkeys(checkpoint.trained_on, "train")
    configs = [checkpoint.config for checkpoint in loaded.values()] or [load_config("mobile", {})]
    splits = [(config.data.val_fraction, config.data.test_fraction, config.seed) for config in configs]
    val_fraction, test_fraction, seed = splits[0]
    photos, notes = photos_for_evaluation(
        data, classes, "auto", val_fraction=val_fraction, test_fraction=test_fraction, seed=seed, known=known
    )
    if (not (checkpoints or known) or len(set(splits)) > 1) and not has_held_out(data):
        whose = f"as the run of {next(iter(checkpoints))} did it" if checkpoints else "as pmsi-train does by default"
        notes = (*notes, f"{data} has no splits and was split {whose}: other runs may have trained on these photos")
    return photos, notes


def measure_accuracy(
    subjects: Sequence[Subject],
    photos: Sequence[Photo],
    progress: Callable[[int, int], None],
    corruption: Corruption | None = None,
) -> tuple[dict[str, Accuracy], dict[str, str]]:
    """Accuracy by the name of the subject, on photos that are corrupted where `corruption` says how; and of those whose
    process died, why. progress(done, total): photos."""
    found: dict[str, list[int]] = {}
    problems: dict[str, str] = {}
    done, total = 0, len(subjects) * len(photos)
    by_pixels = sorted(subjects, key=lambda subject: (subject.preprocessing.resize, subject.preprocessing.crop))
    for _, group in groupby(by_pixels, key=lambda subject: subject.preprocessing):
        alike = list(group)

        def count(classified: int) -> None:
            nonlocal done
            done += classified
            progress(done, total)

        found |= _classify(alike, photos, corruption, count, problems)
    labels = np.array([photo.label for photo in photos])
    measured = {
        subject.name: Accuracy(
            photos=len(photos),
            top1=float((np.array(found[subject.name]) == labels).mean()),
            agreement=_agreement(subject, subjects, found),
            corruption=str(corruption) if corruption else None,
        )
        for subject in subjects
        if subject.name in found
    }
    return measured, problems


def _classify(
    subjects: Sequence[Subject],
    photos: Sequence[Photo],
    corruption: Corruption | None,
    count: Callable[[int], None],
    problems: dict[str, str],
) -> dict[str, list[int]]:
    """The class that each subject names for each photo; the photos are decoded once for all of them."""
    from pmsi_export.runtime.preprocess import load_images

    preprocessing = subjects[0].preprocessing
    chunk = max(1, CHUNK_BYTES // (3 * preprocessing.crop**2))
    found: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory(prefix="pmsi-bench-") as folder, ExitStack() as processes:
        images = Path(folder) / "images.npy"
        workers = {subject.name: _open(processes, subject, problems) for subject in subjects}
        for start in range(0, len(photos), chunk):
            part = photos[start : start + chunk]
            paths = [photo.path for photo in part]
            np.save(images, load_images(paths, preprocessing.for_network(), corruption))
            for name, worker in workers.items():
                if worker:
                    try:
                        found.setdefault(name, []).extend(worker.classify(images))
                    except WorkerFailed as failure:
                        workers[name] = None
                        found.pop(name, None)
                        problems[name] = str(failure)
                count(len(part))
    return found


def _open(processes: ExitStack, subject: Subject, problems: dict[str, str]) -> Worker | None:
    try:
        return processes.enter_context(open_worker(subject.job))
    except WorkerFailed as failure:
        problems[subject.name] = str(failure)
        return None


def _agreement(subject: Subject, subjects: Sequence[Subject], found: dict[str, list[int]]) -> float | None:
    references = (
        other.name
        for other in subjects
        if other.format == CHECKPOINT and other.function == subject.function and other.name in found
    )
    reference = next(references, None)
    if reference is None:
        return None
    return float((np.array(found[subject.name]) == np.array(found[reference])).mean())
