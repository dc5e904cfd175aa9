"""What PyTorch says of TorchScript at every call since it has retired it."""

import warnings

import torch


def ignore_deprecation() -> None:
    """Ignore it; to be called inside `warnings.catch_warnings`."""
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    # The side of a map is meant to become a constant.
    warnings.simplefilter("ignore", torch.jit.TracerWarning)
