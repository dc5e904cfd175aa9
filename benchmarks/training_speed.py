"""Photos per second of whole training iterations, photos loaded, against the method written the plain way.

    python benchmarks/training_speed.py --workdir /tmp/training_speed                     # photos of 12 megapixels
    python benchmarks/training_speed.py --workdir /tmp/training_speed --data photos/train --heads lean

The plain way is the loop of PMG's and the method's published code: torchvision's ImageFolder and transforms, photos
decoded in every epoch, NCHW, mosaics of float batches, every head evaluated in every phase. Both train the same network
on the same photos with two loader processes, each in a process of its own, an epoch each in turn. The first epoch, in
which photos are decoded and kept here, is told apart from the later ones. Beside the clock's time there is the
processor time of each process and its loaders, which other work on the machine disturbs less.
"""

import multiprocessing
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from accelerate import Accelerator
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pmsi_mobile.augmentations.mosaic import recursive_mosaic
from pmsi_mobile.config import Config, load_config
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.data.birds import write_birds
from pmsi_mobile.data.cache import ResizedPhotos
from pmsi_mobile.data.loading import TrainPhotos, shuffled_batches, train_loader, training_keys
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.methods.registry import build_network, phases
from pmsi_mobile.training.batch import train_batch
from pmsi_mobile.training.loss import Loss
from pmsi_mobile.training.optim import build_optimizer
from pmsi_mobile.training.speed import keep_freed_memory, spare_copies

PHONE = (4000, 3000)


def training_speed(
    workdir: Annotated[Path, typer.Option(help="Folder for the drawn photos and the kept ones.")],
    data: Annotated[Path | None, typer.Option(help="Class folders with photos [default: birds of 12 MP].")] = None,
    photos: Annotated[int, typer.Option(min=32, help="How many photos an epoch has.")] = 64,
    heads: Annotated[str, typer.Option(help="released, separable or lean.")] = "separable",
    size: Annotated[int, typer.Option(min=32, help="Side of the input in pixels, a multiple of 32.")] = 224,
    rounds: Annotated[int, typer.Option(min=2, help="Epochs of each.")] = 5,
    threads: Annotated[int, typer.Option(min=1)] = 2,
    busy: Annotated[int, typer.Option(min=0, help="Processes beside that do nothing but compute.")] = 0,
) -> None:
    """Train both for `rounds` epochs in turn and print photos per second, processor time per photo, and the ratios."""
    workdir.mkdir(parents=True, exist_ok=True)
    folder = data or _birds(workdir / "birds", photos)
    config = load_config(
        "mobile-rmg",
        {
            "model.weights": "none",
            "model.heads": heads,
            "preprocessing.resize": round(size * 8 / 7),
            "preprocessing.crop": size,
        },
    )
    os.environ["OMP_NUM_THREADS"] = str(threads)
    others = [_start(_compute) for _ in range(busy)]
    loops = {"plain": _Apart(_plain, folder, photos, config)}
    loops["pmsi-train"] = _Apart(_ours, folder, photos, config, workdir / "photos.cache")
    costs: dict[str, list[Cost]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            costs[name].append(loop.epoch())
    for process in [*others, *(loop.process for loop in loops.values())]:
        process.terminate()
    for name, measured in costs.items():
        first, *later = (f"{1 / cost.wall:.1f}" for cost in measured)
        typer.echo(f"{name}: photos/s of each epoch {first} | {' '.join(later)}")
        first, *later = (f"{1000 * cost.processor:.0f}" for cost in measured)
        typer.echo(f"{name}: ms of processor time per photo {first} | {' '.join(later)}")
    for what in Cost._fields:
        plain, ours = ([getattr(cost, what) for cost in costs[name]] for name in loops)
        each = [a / b for a, b in zip(plain, ours, strict=True)]
        typer.echo(
            f"{what} time: all {rounds} epochs {sum(plain) / sum(ours):.2f} times as fast, the first {each[0]:.2f}, "
            f"later {statistics.median(each[1:]):.2f} ({min(each[1:]):.2f} .. {max(each[1:]):.2f})"
        )


class Cost(NamedTuple):
    """Seconds per photo: by the clock, and of all cores of the process and its loaders."""

    wall: float
    processor: float


class _Apart:
    """A training loop in a process of its own, an epoch at a time."""

    def __init__(self, loop: Callable[..., Iterator[int]], *arguments: object) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = _start(_serve, theirs, loop, *arguments)

    def epoch(self) -> Cost:
        self.pipe.send("go on")
        cost: Cost = self.pipe.recv()
        return cost


def _start(target: Callable[..., None], *arguments: object) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    process.start()
    return process


def _serve(pipe: Connection, loop: Callable[..., Iterator[int]], *arguments: object) -> None:
    # A spawned process would spawn its loaders too; pmsi-train starts them in the system's way.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    epochs = loop(*arguments)
    while pipe.recv():
        start, times = time.perf_counter(), os.times()
        photos = next(epochs)
        spent = sum(os.times()[:4]) - sum(times[:4])
        pipe.send(Cost((time.perf_counter() - start) / photos, spent / photos))


def _compute() -> None:
    while True:
        pass


def _photos(folder: Path, count: int) -> ImageFolder:
    found = ImageFolder(str(folder))
    found.samples = found.samples[:: max(1, len(found.samples) // count)][:count]
    return found


def _plain(root: Path, count: int, config: Config) -> Iterator[int]:
    """Train an epoch at each step; yields how many photos it had."""
    folder, sizes, train = _photos(root, count), config.preprocessing, config.train
    folder.transform = transforms.Compose(
        [
            transforms.Resize((sizes.resize, sizes.resize)),
            transforms.RandomCrop(sizes.crop),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(sizes.mean, sizes.std),
        ]
    )
    network = build_network(config, len(folder.classes)).train()
    optimizer, plan = build_optimizer(network, train), phases(config, network.head_names)
    while True:
        seen = 0
        loader = DataLoader(folder, train.batch_size, shuffle=True, num_workers=config.data.workers, drop_last=True)
        for images, labels in loader:
            for head, phase in enumerate(plan):
                optimizer.zero_grad()
                logits = network(recursive_mosaic(images, phase.recursions))
                loss = phase.loss_weight * F.cross_entropy(logits[:, head], labels)
                loss.backward()
                optimizer.step()
                loss.item()
            seen += len(labels)
        yield seen


def _ours(root: Path, count: int, config: Config, cache: Path) -> Iterator[int]:
    """The same, with what pmsi-train does."""
    folder, train = _photos(root, count), config.train
    photos = [Photo(Path(path), label) for path, label in folder.samples]
    labels_of, accelerator = [photo.label for photo in photos], Accelerator(cpu=True)
    network = build_network(config, len(folder.classes)).to(memory_format=torch.channels_last).train()
    keep_freed_memory()
    spare_copies(network)
    optimizer, plan = build_optimizer(network, train), phases(config, network.head_names)
    loss = Loss(train, torch.tensor(labels_of), len(folder.classes))
    kept = ResizedPhotos(cache, training_keys(photos, True), config.preprocessing.resize, config.data.cache_gib)
    epoch = 0
    while True:
        batches = shuffled_batches(labels_of, train.batch_size, config.seed, epoch)
        dataset = TrainPhotos(photos, config.preprocessing, config.seed, epoch, True, kept)
        for step, (images, of_batch) in enumerate(train_loader(dataset, batches, config.data.workers)):
            images = images.contiguous(memory_format=torch.channels_last)
            draws = torch.Generator().manual_seed(step)
            train_batch(network, optimizer, accelerator, images, of_batch, plan, config, draws, loss)
        epoch += 1
        yield sum(map(len, batches))


def _birds(folder: Path, photos: int) -> Path:
    """Drawn birds as large as a phone's photos."""
    if not folder.exists():
        small = folder.with_name("small")
        write_birds(small, species=4, train=-(-photos // 4), val=1, test=1, size=256, seed=0)
        partial = folder.with_name("partial")
        shutil.rmtree(partial, ignore_errors=True)
        for path in sorted((small / "train").rglob("*.jpg")):
            target = partial / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).resize(PHONE, Image.Resampling.BICUBIC).save(target, quality=92)
        partial.rename(folder)
    return folder


if __name__ == "__main__":
    entry_point(training_speed)()
