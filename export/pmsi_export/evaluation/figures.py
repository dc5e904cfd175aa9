"""What an evaluation finds: accuracy, what probabilities are worth, what became of promises, confusions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmsi_export.evaluation.model import Model
from pmsi_export.evaluation.predictions import Predictions
from pmsi_mobile.accuracy import ClassAccuracy, confusion_matrix, interval, per_class, top_k
from pmsi_mobile.confidence.measures import Calibration, first_and_correct, measure, reliability, risk_coverage
from pmsi_mobile.confidence.promises import Kept, kept


@dataclass(frozen=True)
class HeadAccuracy:
    """Shares of photos in 0..1, and the 95 % interval of the first."""

    top1: float
    top5: float
    top1_low: float
    top1_high: float


@dataclass(frozen=True)
class Figures:
    """Of N photos.

    heads: the shipped one last. worth, temperatures: by prediction, the first of which is shipped; worth by how its
    probabilities are calibrated. reliability [bins, 2], risk [N]: of the shipped prediction, by the same. promises:
    what became of them. too_few: that the photos of its calibration were, in words; None where they were not.
    confusion: counts [K, K] of the shipped prediction, true class by row; classes: each of its rows in short.
    """

    photos: int
    heads: Mapping[str, HeadAccuracy]
    worth: Mapping[str, Mapping[str, Calibration]]
    temperatures: Mapping[str, float]
    reliability: Mapping[str, NDArray[np.float64]]
    risk: Mapping[str, NDArray[np.float64]]
    promises: tuple[Kept, ...]
    too_few: str | None
    confusion: NDArray[np.int64]
    classes: tuple[ClassAccuracy, ...]


def figures_of(predictions: Predictions, labels: NDArray[np.int64], model: Model) -> Figures:
    """The figures of photos of classes [N]."""
    shipped = next(iter(predictions.probabilities))
    verdicts = {
        kind: first_and_correct(probabilities, labels)
        for kind, probabilities in predictions.probabilities[shipped].items()
    }
    *_, ranking = predictions.heads.values()
    confusion = confusion_matrix(labels, ranking.argmax(axis=1), len(model.classes))
    return Figures(
        photos=len(labels),
        heads={
            head: HeadAccuracy(top1, top_k(scores, labels, 5), *interval(top1, len(labels)))
            for head, scores in predictions.heads.items()
            for top1 in (top_k(scores, labels, 1),)
        },
        worth={
            name: {kind: measure(probabilities, labels) for kind, probabilities in kinds.items()}
            for name, kinds in predictions.probabilities.items()
        },
        temperatures={name: confidence.temperature for name, confidence in model.confidence.items()},
        reliability={kind: reliability(*verdict) for kind, verdict in verdicts.items()},
        risk={kind: risk_coverage(*verdict) for kind, verdict in verdicts.items()},
        promises=kept(model.confidence[shipped].answers, *list(verdicts.values())[-1]),
        too_few=model.confidence[shipped].too_few,
        confusion=confusion,
        classes=per_class(confusion, model.classes),
    )
