"""coremltools, imported without the frameworks that it would bring along."""

import sys
from importlib import import_module
from types import ModuleType


def import_coremltools() -> ModuleType:
    """Import coremltools, which imports every framework that it can convert from.

    TensorFlow, scikit-learn, ExecuTorch and torchao are hidden from it: they take seconds, and TensorFlow loaded before
    PyTorch's triton crashes the process (two copies of LLVM).
    """
    hidden = [name for name in ("tensorflow", "sklearn", "executorch", "torchao") if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        return import_module("coremltools")
    finally:
        for name in hidden:
            del sys.modules[name]
