"""A checkpoint or an exported file, opened to be evaluated."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_export.evaluation.predictions import Predictions
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import FORMATS
from pmsi_mobile.confidence.record import Confidence
from pmsi_mobile.config import Config, Resize
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors

if TYPE_CHECKING:
    from pmsi_mobile.training.device import Device

Predict = Callable[[Sequence[Photo], Resize, Corruption | None, Callable[[int, int], None]], Predictions]


@dataclass(frozen=True)
class Model:
    """What is evaluated.

    classes: in the order of its output. confidence: of each prediction that it has. config: of its run; None for a
    file, which does not say. trained_on: digests of the photos that are known to have been. predict: what it says of
    photos under a resize and a corruption, `progress(done, total)`. notes: what is to be known of its figures.
    """

    path: Path
    classes: tuple[str, ...]
    confidence: Mapping[str, Confidence]
    config: Config | None
    trained_on: frozenset[str]
    predict: Predict
    notes: tuple[str, ...] = ()


def is_exported(path: Path) -> bool:
    """Whether its name is that of an exported file; other names are those of checkpoints."""
    return any(path.suffix == known.suffix for known in FORMATS.values())


def check_model(path: Path, place: "Device") -> None:
    """Raise PmsiError for what cannot be evaluated, before PyTorch is imported."""
    if not is_exported(path):
        check_tensors(path)
        return
    read_contract(path)
    if place not in ("auto", "cpu"):
        raise PmsiError(f"--device {place} is for checkpoints: exported files are run on the CPU here")


def open_model(path: Path, place: "Device", batch_size: int) -> Model:
    """Open ckpt.pt of pmsi-train (imports PyTorch) or a file of pmsi-export. place, batch_size: of a checkpoint."""
    if is_exported(path):
        from pmsi_export.evaluation.of_file import open_file

        return open_file(path)
    from pmsi_export.evaluation.of_checkpoint import open_checkpoint

    return open_checkpoint(path, place, batch_size)
