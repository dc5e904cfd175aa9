"""What each phase of a batch sees under each augmentation, on drawn birds: a row per augmentation. Below, four draws of
what torchvision does to a single photo.

python benchmarks/augmentations.py benchmarks/results/augmentations.jpg
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from matplotlib.figure import Figure

from pmsi_mobile.config import Augment, load_config, override
from pmsi_mobile.console.cli import entry_point
from pmsi_mobile.data.birds import choose_species, draw_bird
from pmsi_mobile.data.photo_augment import photo_augment
from pmsi_mobile.data.transforms import View, normalise
from pmsi_mobile.methods.registry import build_network, phases
from pmsi_mobile.training.batch import phase_input
from pmsi_mobile.training.mixes import mix_photos

AUGMENTS: tuple[Augment, ...] = ("none", "rmg", "jigsaw", "cutmix", "mixup", "snapmix")
PHOTO_AUGMENTS = {"random_resized_crop": 0.25, "trivial_augment": True, "random_erasing": 0.9}
SIDE = 192


def augmentations(
    output: Annotated[Path, typer.Argument(help="The picture.")],
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 3,
) -> None:
    """Draw the inputs of all phases, and the labels where photos are mixed."""
    settings = {"model.weights": "none", "preprocessing.resize": SIDE, "preprocessing.crop": SIDE}
    config = override(load_config("paper"), settings)
    species = choose_species(3, 1)
    birds = np.stack([draw_bird(bird, np.random.default_rng([1, i]), SIDE).image for i, bird in enumerate(species)])
    images = normalise(torch.from_numpy(birds).permute(0, 3, 1, 2), config.preprocessing)
    labels = torch.arange(len(species))
    torch.manual_seed(seed)
    network = build_network(config, len(species))
    plan = phases(config, network.head_names)

    rows = len(AUGMENTS) + len(PHOTO_AUGMENTS)
    figure = Figure(figsize=(2 * len(plan), 2 * rows), layout="constrained")
    axes = figure.subplots(rows, len(plan))
    for row, augment in zip(axes[: len(AUGMENTS)], AUGMENTS, strict=True):
        generator = torch.Generator().manual_seed(seed)
        inputs, targets = mix_photos(augment, images, labels, network, len(species), generator)
        while augment == "mixup" and targets.ndim == 1:  # Half of the batches are not mixed.
            inputs, targets = mix_photos(augment, images, labels, network, len(species), generator)
        for axis, phase in zip(row, plan, strict=True):
            pixels = phase_input(inputs, phase, augment, config.mosaic, generator)[0]
            mean, std = (
                torch.tensor(values).view(3, 1, 1) for values in (config.preprocessing.mean, config.preprocessing.std)
            )
            axis.imshow((pixels * std + mean).clamp(0, 1).permute(1, 2, 0).numpy())
            axis.set_title(f"{phase.head}, r = {phase.recursions}", fontsize=8)
            axis.set(xticks=[], yticks=[])
        label = augment if targets.ndim == 1 else f"{augment}\n" + " ".join(f"{share:.2f}" for share in targets[0])
        row[0].set_ylabel(label)
    for row, (name, value) in zip(axes[len(AUGMENTS) :], PHOTO_AUGMENTS.items(), strict=True):
        changed = photo_augment(override(config, {f"train.{name}": value}).train, config.preprocessing)
        assert changed
        for draw, axis in enumerate(row):
            pixels = changed(birds[0], View(0, 0, False, "antialias"), seed + draw)
            axis.imshow(pixels.permute(1, 2, 0).numpy())
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name.replace("_", " "))
    figure.savefig(output, dpi=75, pil_kwargs={"quality": 80})
    typer.echo(f"wrote {output}")


main = entry_point(augmentations)

if __name__ == "__main__":
    main()
