"""What makes training faster and changes none of its bits."""

import ctypes
import sys

import torch
from torch import Tensor, nn

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process use again what it frees; nothing where the C library is not glibc.

    A step frees all that it has allocated, and glibc gives large blocks back to the kernel, which clears every page of
    them before it lends them again.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def spare_copies(network: nn.Module) -> None:
    """Have ReLU6 write elsewhere than in place: autograd wants its input back, and copies it first in place."""
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = False


def on_device(images: Tensor, device: torch.device, *, channels_last: bool) -> Tensor:
    """[B, 3, H, W] on its way to `device`, without waiting for it, in the layout that its convolutions take fastest."""
    images = images.to(device, non_blocking=True)
    return images.contiguous(memory_format=torch.channels_last) if channels_last else images
