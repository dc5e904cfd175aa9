"""The optimiser and the learning-rate schedule of a recipe."""

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from pmsi_mobile.config import TrainConfig
from pmsi_mobile.methods.registry import Network
from pmsi_mobile.network.backbones import StagedBackbone


def build_optimizer(network: Network, config: TrainConfig) -> SGD:
    """SGD; the last group has the parameters that are not the backbone's, the one before it the backbone's, or, with
    `train.lr_decay`, those of its last stage, after those of the earlier ones. Weight decay on every parameter."""
    backbone: nn.Module = network.backbone
    parts = list(backbone.stages) if config.lr_decay < 1 and isinstance(backbone, StagedBackbone) else [backbone]
    pretrained = set(backbone.parameters())
    new = [parameter for parameter in network.parameters() if parameter not in pretrained]
    groups = [
        {"params": list(part.parameters()), "lr": config.lr_backbone * config.lr_decay**later}
        for later, part in reversed(list(enumerate(reversed(parts))))
    ]
    groups.append({"params": new, "lr": config.lr_new})
    return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)


def build_scheduler(optimizer: Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """The schedule over `steps` batches, advanced once per batch (not per phase)."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if config.schedule == "constant":
        return LambdaLR(optimizer, lambda step: 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    # One step more than there are batches, for the rate after the last batch is computed too.
    return OneCycleLR(optimizer, max_lr=rates, total_steps=steps + 1, pct_start=config.warmup, cycle_momentum=False)
