"""`--device`: where a command computes."""

from typing import Literal

from pmsi_mobile.errors import PmsiError

Device = Literal["auto", "cuda", "mps", "cpu"]
HELP = "Where to compute: cuda, mps, cpu, or auto: a GPU where PyTorch sees one."


def choose_device(asked: Device) -> str:
    """The device type that `asked` stands for. Raises PmsiError where this machine has none."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if asked == "auto":
        return next(name for name, available in there.items() if available)
    if not there[asked]:
        what = {"cuda": "no CUDA GPU", "mps": "no GPU of Apple's"}[asked]
        raise PmsiError(
            f"--device {asked}: PyTorch {torch.__version__} sees {what} on this machine: "
            f"use --device {' or '.join(name for name, available in there.items() if available)}"
        )
    return asked
