"""The most likely classes of photos, by a checkpoint or any exported file."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pmsi_export.formats.earlier import shortcomings
from pmsi_export.formats.open import load_file, read_contract
from pmsi_export.formats.registry import is_exported
from pmsi_export.runtime.preprocess import load_image
from pmsi_export.runtime.runner import Runner, all_classes
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.errors import MeasurementError
from pmsi_mobile.tensor_check import check_tensors

SURE = 0.95
"""Share of right answers that is promised where an answer is called sure."""


class Prediction(NamedTuple):
    """top: the most likely classes and their probabilities, the likeliest first. none: whether the photo shows none of
    the classes; None where nothing says so."""

    top: list[tuple[str, float]]
    none: bool | None


@dataclass(frozen=True)
class Predictor:
    """A model that is open, with what it takes to show it a photo.

    runner: gives probabilities [K] of `classes`. notes: what a file of an earlier version lacks. threshold: from which
    first probability on 95 % of the answers are right, as calibration promises; None without a promise. none_above: the
    unknown score above which a photo shows none of the classes; None where that is not known.
    """

    runner: Runner
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    threshold: float | None = None
    none_above: float | None = None

    def top(self, photo: Path, count: int = 5) -> list[tuple[str, float]]:
        """The `count` most likely classes and their probabilities, the likeliest first; fewer of a top-k file.

        Raises as `predict` does.
        """
        return self.predict(photo, count).top

    def predict(self, photo: Path, count: int = 5) -> Prediction:
        """The `count` most likely classes, fewer of a top-k file, and whether it is any of them.

        Raises UnreadableImage, and MeasurementError where the model gives what is not a number.
        """
        probabilities, score = self.runner.answer(load_image(photo, self.preprocessing))
        if not (np.isfinite(probabilities).all() and np.isfinite(score or 0)):
            raise MeasurementError("the model gives no probabilities for it, but what is not a number")
        best = (-probabilities).argsort(kind="stable")[:count]
        # A top-k file knows nothing of the others, which are zero here.
        top = [(self.classes[index], float(probabilities[index])) for index in best if probabilities[index] > 0]
        return Prediction(top, None if score is None or self.none_above is None else score > self.none_above)


def open_predictor(model: Path | str) -> Predictor:
    """Open ckpt.pt of pmsi-train (imports PyTorch) or a file of pmsi-export. Raises PmsiError when it cannot be."""
    path = Path(model)
    if not is_exported(path):
        check_tensors(path)
        from pmsi_export.runtime.reference import reference_runner
        from pmsi_mobile.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(path)
        known = checkpoint.confidence_of()
        return Predictor(
            reference_runner(checkpoint),
            checkpoint.classes,
            checkpoint.config.preprocessing,
            threshold=known.threshold(SURE),
            none_above=known.unknown.threshold if known.unknown else None,
        )
    contract = read_contract(path)
    runner, confidence = all_classes(load_file(path, verify=False), contract), contract.confidence
    return Predictor(
        runner,
        contract.classes,
        contract.preprocessing.for_network(),
        (*shortcomings(path, contract),),
        confidence.threshold(SURE) if confidence else None,
        confidence.unknown.threshold if confidence and confidence.unknown else None,
    )


def predict(model: Path | str, photo: Path | str, top: int = 5) -> list[tuple[str, float]]:
    """The `top` most likely classes of a photo and their probabilities, the likeliest first.

    model: as for `open_predictor`, which opens a file once for many photos. Raises PmsiError.
    """
    return open_predictor(model).top(Path(photo), top)
