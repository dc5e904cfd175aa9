"""Photos per second of whole training iterations, photos loaded, against the method written the plain way.

    python benchmarks/training_speed.py --workdir /tmp/training_speed                     # photos of 12 megapixels
    python benchmarks/training_speed.py --workdir /tmp/training_speed --data photos/train --heads lean

The plain way is the loop of PMG's and the method's published code: torchvision's ImageFolder and transforms, photos
decoded in every epoch, NCHW, mosaics of float batches, every head evaluated in every phase. Both train the same network
on the same photos with two loader processes, an epoch each in turn. The first epoch, in which photos are decoded and
kept here, is told apart from the later ones.
"""

import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

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

PHONE = (4000, 3000)


def training_speed(
    workdir: Annotated[Path, typer.Option(help="Folder for the drawn photos and the kept ones.")],
    data: Annotated[Path | None, typer.Option(help="Class folders with photos [default: birds of 12 MP].")] = None,
    photos: Annotated[int, typer.Option(min=32, help="How many photos an epoch has.")] = 64,
    heads: Annotated[str, typer.Option(help="released, separable or lean.")] = "separable",
    size: Annotated[int, typer.Option(min=32, help="Side of the input in pixels, a multiple of 32.")] = 224,
    rounds: Annotated[int, typer.Option(min=2, help="Epochs of each.")] = 5,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Train both for `rounds` epochs in turn and print photos per second and the ratio."""
    torch.set_num_threads(threads)
    workdir.mkdir(parents=True, exist_ok=True)
    folder = ImageFolder(str(data or _birds(workdir / "birds", photos)))
    step = max(1, len(folder.samples) // photos)
    folder.samples = folder.samples[::step][:photos]
    config = load_config(
        "mobile-rmg",
        {
            "model.weights": "none",
            "model.heads": heads,
            "preprocessing.resize": round(size * 8 / 7),
            "preprocessing.crop": size,
        },
    )
    loops = {"plain": _plain(folder, config), "pmsi-train": _ours(folder, config, workdir / "photos.cache")}
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            start = time.perf_counter()
            seen = next(loop)
            rates[name].append(seen / (time.perf_counter() - start))
    for name, measured in rates.items():
        first, *later = measured
        typer.echo(
            f"{name}: first epoch {first:.1f} photos/s, later {statistics.median(later):.1f} "
            f"({min(later):.1f} .. {max(later):.1f})"
        )
    ratios = [mine / plain for mine, plain in zip(rates["pmsi-train"], rates["plain"], strict=True)]
    typer.echo(
        f"ratio: first epoch {ratios[0]:.2f}, later {statistics.median(ratios[1:]):.2f} "
        f"({min(ratios[1:]):.2f} .. {max(ratios[1:]):.2f})"
    )


def _plain(folder: ImageFolder, config: Config) -> Iterator[int]:
    """Train an epoch at each step; yields how many photos it had."""
    sizes, train = config.preprocessing, config.train
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


def _ours(folder: ImageFolder, config: Config, cache: Path) -> Iterator[int]:
    """The same, with what pmsi-train does."""
    train = config.train
    photos = [Photo(Path(path), label) for path, label in folder.samples]
    labels_of, accelerator = [photo.label for photo in photos], Accelerator(cpu=True)
    network = build_network(config, len(folder.classes)).to(memory_format=torch.channels_last).train()
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
