"""A checkpoint or an exported file that is open, to be evaluated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pmsi_export.evaluation.predictions import Predictions
from pmsi_mobile.confidence.record import Confidence
from pmsi_mobile.config import Config, Resize
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.splits import Photo

Predict = Callable[[Sequence[Photo], Resize, Corruption | None, Callable[[int, int], None]], Predictions]


@dataclass(frozen=True)
class Model:
    """What is evaluated.

    digest: SHA-256 of a checkpoint, or of a file's content without its contract. classes: in the order of its output.
    confidence: of each prediction that it has. config: of its run; None for a file, which does not say. trained_on:
    digests of the photos that are known to have been. predict: what it says of photos under a resize and a corruption,
    `progress(done, total)`. notes: what is to be known of its figures.
    """

    path: Path
    digest: str
    classes: tuple[str, ...]
    confidence: Mapping[str, Confidence]
    config: Config | None
    trained_on: frozenset[str]
    predict: Predict
    notes: tuple[str, ...] = ()
