"""RMG-PMSI: progressive multi-stage interactive training with a recursive mosaic generator."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from pmsi_mobile.training.run import train

__version__ = "0.1.0"
__all__ = ["PmsiError", "train"]


def __getattr__(name: str) -> Any:
    # Importing the package imports no PyTorch.
    if name == "train":
        return import_module("pmsi_mobile.training.run").train
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
