"""What the runs of a plan will cost, before they are begun."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode

from pmsi_mobile.config import Config
from pmsi_mobile.experiments.plan import Plan, Run
from pmsi_mobile.methods.registry import Network, build_network, phases
from pmsi_mobile.training.batch import image_passes, train_batch
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer

BACKWARD = 2
"""A backward pass multiplies about twice as often as its forward pass."""
_BATCHES = 2


@dataclass(frozen=True)
class Cost:
    """Of one run of a recipe. image_passes: forward passes of each training photo, its teachers' counted. macs:
    multiply-accumulates, backward passes counted as two forward ones. hours: of the run, without reading photos."""

    recipe: str
    runs: int
    image_passes: float
    macs: float
    hours: float


def estimate(
    plan: Plan,
    classes: int,
    photos: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    rate: float | None = None,
) -> list[Cost]:
    """The cost of each recipe, trained on `photos` photos of `classes` classes.

    rate: multiply-accumulates a second that the hours are worked out with; None: one thread of this machine, from
    `_BATCHES` timed batches.
    """
    first = {run.recipe: run for run in reversed(plan.runs)}
    by_folder = {run.folder: run for run in plan.runs}
    costs = []
    for recipe in plan.recipes:
        run = first[recipe]
        teachers = [by_folder[teacher].config for teacher in run.teachers]
        runs = sum(other.recipe == recipe for other in plan.runs)
        costs.append(_cost(run, teachers, classes, photos, runs, rate))
        progress(len(costs), len(plan.recipes))
    return costs


def _cost(run: Run, teachers: list[Config], classes: int, photos: int, runs: int, rate: float | None) -> Cost:
    config = run.config
    network = build_network(config, classes, load_weights=False)
    count = len(phases(config, network.head_names))
    per_photo = (1 + BACKWARD) * sum(_forward_macs(network, config, phase) for phase in range(count))
    for teacher in teachers:
        per_photo += _forward_macs(build_network(teacher, classes, load_weights=False), config, None)
    seen = photos // config.train.batch_size * config.train.batch_size * config.train.epochs
    return Cost(
        recipe=run.recipe,
        runs=runs,
        image_passes=config.train.epochs * (image_passes(config.train, count, photos) + len(teachers)),
        macs=seen * per_photo,
        hours=seen * (per_photo / rate if rate else _seconds_per_photo(network, config, classes)) / 3600,
    )


def _forward_macs(network: Network, config: Config, phase: int | None) -> float:
    """Of one photo at the student's input size."""
    side = config.preprocessing.crop
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, side, side), phase=phase)
    return counter.get_total_flops() / 2


def _seconds_per_photo(network: Network, config: Config, classes: int) -> float:
    """The student's phases alone, measured."""
    side, batch = config.preprocessing.crop, config.train.batch_size
    layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
    network.train().to(memory_format=layout)
    images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8).contiguous(memory_format=layout)
    labels = torch.arange(batch) // 2 % classes  # API-Net wants pairs of a class.
    plan, optimizer = phases(config, network.head_names), build_optimizer(network, config.train)
    loss = Loss(config.train, labels, classes)
    generator, accelerator = torch.Generator().manual_seed(0), Accelerator(cpu=True)
    seconds = []
    for _ in range(1 + _BATCHES):
        start = time.perf_counter()
        train_batch(network, optimizer, accelerator, images, labels, plan, config, generator, loss)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:]) / batch


def total_hours(costs: list[Cost], left: Mapping[str, int], jobs: int) -> float:
    """Of the runs that are left, by recipe, `jobs` side by side."""
    return sum(cost.hours * left[cost.recipe] for cost in costs) / jobs
