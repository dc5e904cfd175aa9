"""The optimiser and the learning-rate schedule of a recipe."""

from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from pmsi_mobile.config import TrainConfig
from pmsi_mobile.methods.registry import Network


def build_optimizer(network: Network, config: TrainConfig) -> SGD:
    """SGD with two groups, the backbone's parameters and all others; weight decay on every parameter."""
    backbone: list[nn.Parameter] = list(network.backbone.parameters())
    pretrained = set(backbone)
    new = [parameter for parameter in network.parameters() if parameter not in pretrained]
    groups = [{"params": backbone, "lr": config.lr_backbone}, {"params": new, "lr": config.lr_new}]
    return SGD(groups, momentum=config.momentum, weight_decay=config.weight_decay)


def build_scheduler(optimizer: Optimizer, config: TrainConfig, steps: int) -> LRScheduler:
    """The schedule over `steps` batches, advanced once per batch (not per phase)."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if config.schedule == "constant":
        return LambdaLR(optimizer, lambda step: 1.0)
    rates = [config.lr_backbone, config.lr_new]
    # One step more than there are batches, for the rate after the last batch is computed too.
    return OneCycleLR(optimizer, max_lr=rates, total_steps=steps + 1, pct_start=config.warmup, cycle_momentum=False)
