"""`state.pt`: all that a killed run needs to go on."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pmsi_mobile.checkpoint import load_tensors
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.records import Row

_MAGIC = "pmsi-mobile training state"


@dataclass
class Progress:
    """Where a run stands. `loss_sums` and `seconds` are those of the epoch under way."""

    epoch: int = 0
    step: int = 0
    loss_sums: list[float] = field(default_factory=list)
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)


def save_state(
    path: Path,
    network: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    accelerator: Accelerator,
    progress: Progress,
) -> None:
    """Write `path` atomically."""
    scaler = accelerator.scaler
    content = {
        "magic": _MAGIC,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": scaler.state_dict() if scaler else None,
        "progress": asdict(progress),
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def restore_state(
    path: Path, network: nn.Module, optimizer: Optimizer, scheduler: LRScheduler, accelerator: Accelerator
) -> Progress:
    """Load `path` into what it was saved from; returns where the run stood. Raises PmsiError when it cannot be used."""
    content: Any = load_tensors(path)
    if not isinstance(content, dict) or content.get("magic") != _MAGIC:
        raise PmsiError(f"{path} is not a training state of pmsi-mobile: delete it to start the run anew")
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    scheduler.load_state_dict(content["scheduler"])
    if accelerator.scaler and content["scaler"]:
        accelerator.scaler.load_state_dict(content["scaler"])
    return Progress(**content["progress"])
