"""Seconds per training batch (all its phases) under different settings, in interleaved rounds.

    python benchmarks/training_step.py --heads released --size 128 --rounds 5

Random weights and pixels. Prints the median of each setting and its ratio to the first.
"""

import statistics
import time
from typing import Annotated

import torch
import typer
from accelerate import Accelerator

from pmsi_mobile.config import load_config, override
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.methods.registry import build_network, phases
from pmsi_mobile.training.batch import train_batch
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer

CLASSES = 100
SETTINGS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def training_step(
    heads: Annotated[str, typer.Option(help="released or separable.")] = "separable",
    size: Annotated[int, typer.Option(min=32, help="Side of the photos in pixels, a multiple of 32.")] = 224,
    batch_size: Annotated[int, typer.Option(min=2)] = 32,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Time one batch per setting and round."""
    torch.set_num_threads(threads)
    values = {"model.weights": "none", "model.heads": heads, "preprocessing.resize": size, "preprocessing.crop": size}
    config = override(load_config("mobile-rmg"), values)
    accelerator = Accelerator()
    runs = {}
    for name, memory_format in SETTINGS.items():
        network = build_network(config, CLASSES).to(accelerator.device).train()
        network = network.to(memory_format=memory_format)
        images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8, device=accelerator.device)
        runs[name] = (network, build_optimizer(network, config.train), images.contiguous(memory_format=memory_format))
    labels = torch.randint(0, CLASSES, (batch_size,), device=accelerator.device)
    loss = Loss(config.train, labels, CLASSES)

    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, (network, optimizer, images) in runs.items():
            generator = torch.Generator().manual_seed(number)
            start = time.perf_counter()
            plan = phases(config, network.head_names)
            train_batch(network, optimizer, accelerator, images, labels, plan, config, generator, loss).tolist()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    first = next(iter(seconds.values()))
    for name, measured in seconds.items():
        ratios = [mine / other for mine, other in zip(measured, first, strict=True)]
        typer.echo(
            f"{name}: {statistics.median(measured):.2f} s per batch ({min(measured):.2f} .. {max(measured):.2f}), "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})"
        )


if __name__ == "__main__":
    entry_point(training_step)()
