"""Opening what is to be evaluated, a checkpoint or an exported file, by its name."""

from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_export.evaluation.model import Model
from pmsi_export.formats.open import read_contract
from pmsi_export.formats.registry import is_exported
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors

if TYPE_CHECKING:
    from pmsi_mobile.training.device import Device


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
