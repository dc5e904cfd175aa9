"""`state.pt`: all that a killed run needs to go on."""

import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.records import Row
from pmsi_mobile.tensor_files import read_tensors

_MAGIC = "pmsi-mobile training state"


@dataclass
class Progress:
    """Where a run stands. `loss_sums` and `seconds` are those of the epoch under way, `spent` are the seconds of those
    before it, their evaluation included."""

    epoch: int = 0
    step: int = 0
    loss_sums: list[float] = field(default_factory=list)
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)
    spent: float = 0.0


@dataclass(frozen=True)
class Length:
    """How long a run is: the learning rate is a function of the step and of both."""

    epochs: int
    steps_per_epoch: int


def save_state(
    path: Path,
    network: nn.Module,
    averaged: nn.Module | None,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    accelerator: Accelerator,
    progress: Progress,
    length: Length,
) -> None:
    """Write `path` atomically."""
    scaler = accelerator.scaler
    content = {
        "magic": _MAGIC,
        "network": network.state_dict(),
        "averaged": averaged.state_dict() if averaged else None,
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": scaler.state_dict() if scaler else None,
        "progress": asdict(progress),
        "length": asdict(length),
    }
    # Into an open file: PyTorch's own writer says nothing of a full disk.
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)


def restore_state(
    path: Path,
    network: nn.Module,
    averaged: nn.Module | None,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    accelerator: Accelerator,
    length: Length,
    *,
    timed: bool = False,
) -> tuple[Progress, Length]:
    """Load `path` into what it was saved from; returns where the run stood, and how long it is.

    Where `length` has other epochs than the run had, its schedule takes over at the step where the run stands; a
    `timed` run keeps its own. Raises PmsiError when it cannot be used.
    """
    content: Any = read_tensors(path)
    if not isinstance(content, dict) or content.get("magic") != _MAGIC:
        raise PmsiError(f"{path} is not a training state of pmsi-mobile: delete it to start the run anew")
    progress, saved = Progress(**content["progress"]), Length(**content.get("length", asdict(length)))
    if saved.steps_per_epoch != length.steps_per_epoch:
        raise PmsiError(
            f"{path} is of a run with {saved.steps_per_epoch} steps per epoch, here there are "
            f"{length.steps_per_epoch}: resume with as many processes as before"
        )
    if timed:
        length = saved
    if length.epochs != saved.epochs and length.epochs <= progress.epoch:
        raise PmsiError(f"the run has trained {progress.epoch} epochs already: give more than that as --epochs")
    network.load_state_dict(content["network"])
    if averaged:
        averaged.load_state_dict(content["averaged"])
    if length.epochs == saved.epochs:
        optimizer.load_state_dict(content["optimizer"])
        scheduler.load_state_dict(content["scheduler"])
    else:
        follow(optimizer, scheduler, content["optimizer"], progress.epoch * length.steps_per_epoch + progress.step)
    if accelerator.scaler and content["scaler"]:
        accelerator.scaler.load_state_dict(content["scaler"])
    return progress, length


def follow(optimizer: Optimizer, scheduler: LRScheduler, saved: dict[str, Any], step: int) -> None:
    """Move a schedule that has not begun to `step`, its optimizer taking over the state `saved` of another one."""
    with warnings.catch_warnings():
        # PyTorch warns of rates that no optimiser step has used, which is what is wanted here.
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(step):
            scheduler.step()
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
