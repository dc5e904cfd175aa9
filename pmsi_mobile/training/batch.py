"""One batch: its phases, each with an input, a forward, a backward and a step of its own (Algorithm 1)."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from pmsi_mobile.augmentations.mosaic import PAPER_MAX_RECURSION, jigsaw, recursive_mosaic
from pmsi_mobile.config import Augment, Config, MosaicConfig, TrainConfig
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.methods.objective import Targets
from pmsi_mobile.methods.phase import Phase
from pmsi_mobile.methods.registry import METHODS, augmentation
from pmsi_mobile.training.distillation import Teachers
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.mixes import mix_photos


def train_batch(
    model: nn.Module,
    optimizer: Optimizer,
    accelerator: Accelerator,
    images: Tensor,
    labels: Tensor,
    plan: Sequence[Phase],
    config: Config,
    generator: torch.Generator,
    loss_of: Loss,
    teachers: Teachers | None = None,
) -> Tensor:
    """Optimise once per phase on one batch; returns the phases' losses [phases] without their weights, detached.

    images: uint8 [B, 3, H, W]; labels: int64 [B]. Each phase has its own input, forward, backward and step. Photos are
    mixed once for all phases. Teachers see the batch once, as it is.
    """
    losses = []
    soft_labels = teachers.soft_labels(images) if teachers else None
    augment = augmentation(config)
    whole = normalise(images, config.preprocessing)
    inputs, mixed = mix_photos(augment, whole, labels, accelerator.unwrap_model(model), loss_of.classes, generator)
    targets = Targets(mixed, soft_labels)
    for index, phase in enumerate(plan):
        optimizer.zero_grad(set_to_none=True)
        seen = phase_input(inputs, phase, augment, config.mosaic, generator)
        loss = METHODS[config.method].objective(model, seen, index, targets, loss_of)
        accelerator.backward(phase.loss_weight * loss)
        if config.train.clip_norm:
            accelerator.unscale_gradients(optimizer)
            clip_grad_norm_(model.parameters(), config.train.clip_norm)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def phase_input(
    images: Tensor, phase: Phase, augment: Augment, mosaic: MosaicConfig, generator: torch.Generator
) -> Tensor:
    """What a phase sees of [B, 3, H, W]: G(images, r), the jigsaw of 2^r x 2^r tiles, or the images as they are."""
    if augment == "rmg":
        return recursive_mosaic(
            images,
            phase.recursions,
            shuffle=mosaic.shuffle,
            draw=mosaic.draw,
            generator=generator,
            allow_deep=mosaic.max_recursion > PAPER_MAX_RECURSION,
        )
    if augment == "jigsaw" and phase.recursions:
        side = 2**phase.recursions
        return jigsaw(images, side, shuffle=mosaic.shuffle, draw=mosaic.draw, generator=generator)
    return images


def image_passes(config: TrainConfig, phases: int, photos: int) -> float:
    """Forward passes per training photo and epoch: every phase's, the teachers' and its share in the BatchNorm
    estimate."""
    return phases + len(config.teacher) + min(config.precise_bn / photos, 1.0)
