"""From a checkpoint to verified model files: fold, convert, check."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmsi_export.jobs.in_process import export
    from pmsi_export.jobs.predictor import open_predictor, predict

__all__ = ["export", "open_predictor", "predict"]

_PLACES = {
    "export": "pmsi_export.jobs.in_process",
    "open_predictor": "pmsi_export.jobs.predictor",
    "predict": "pmsi_export.jobs.predictor",
}


def __getattr__(name: str) -> Any:
    # Importing the package imports neither PyTorch nor NumPy.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
