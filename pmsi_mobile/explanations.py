"""What a network looked at: Grad-CAM of its stages (Figure 4), and how often that is what tells the classes apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from pmsi_mobile.checkpoint import Checkpoint
from pmsi_mobile.data.dataset import Photo
from pmsi_mobile.data.images import load_checked, load_rgb
from pmsi_mobile.data.resizes import centre
from pmsi_mobile.data.transforms import eval_transform, normalise
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.files import atomic_write
from pmsi_mobile.methods.activation_maps import gradient_maps
from pmsi_mobile.methods.registry import Network
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.plot_names import plot_names

TOLERANCE = 15 / 224
"""Of the image's side: how far from the part a maximum still points at it (Zhang et al. 2018, Top-down neural
attention)."""


@dataclass(frozen=True)
class Explanation:
    """pixels: uint8 [H, W, 3], as the network saw it; probability: of `label`; stages: name -> map [H, W] in 0..1."""

    pixels: NDArray[np.uint8]
    label: int
    probability: float
    stages: dict[str, NDArray[np.float32]]


def explain(network: Network, checkpoint: Checkpoint, image: Tensor, label: int | None = None) -> Explanation:
    """Grad-CAM of an image, uint8 [3, H, W], for a class; for the one that is predicted where none is given."""
    inputs = normalise(image[None], checkpoint.config.preprocessing)
    with torch.no_grad():
        probabilities = mix(network(inputs), checkpoint.config.model.mix)[0]
    chosen = int(probabilities.argmax()) if label is None else label
    maps = gradient_maps(network, inputs, torch.tensor([chosen]))
    names = network.backbone.stage_names
    stages = {name: _heat(each, image.shape[-1]) for name, each in zip(names, maps, strict=True)}
    return Explanation(image.permute(1, 2, 0).numpy(), chosen, float(probabilities[chosen]), stages)


def explain_photo(network: Network, checkpoint: Checkpoint, photo: Path, label: int | None = None) -> Explanation:
    """`explain` of a photo. Raises PmsiError for one that cannot be read."""
    return explain(network, checkpoint, eval_transform(load_rgb(photo), checkpoint.config.preprocessing), label)


def _heat(each: Tensor, side: int) -> NDArray[np.float32]:
    large = F.interpolate(each[:, None], (side, side), mode="bilinear", align_corners=False)[0, 0].relu()
    return (large / large.max().clamp_min(1e-12)).numpy()


def draw(explanations: Sequence[Explanation], classes: Sequence[str], path: Path) -> None:
    """A row per photo: the photo, and each stage's map over it, in the manner of the paper's Figure 4."""
    from matplotlib.figure import Figure

    names = list(explanations[0].stages)
    figure = Figure(figsize=(2.1 * (1 + len(names)), 2.3 * len(explanations)), layout="constrained")
    rows = figure.subplots(len(explanations), 1 + len(names), squeeze=False)
    for row, explanation in zip(rows, explanations, strict=True):
        [name], fonts = plot_names([classes[explanation.label]])
        row[0].set_title(
            f"{name}\n{explanation.probability:.0%}", fontsize=min(7, 280 / len(name)), family=fonts, parse_math=False
        )
        for axis, title in zip(row[1:], names, strict=True):
            axis.set_title(title, fontsize=8)
        for axis in row:
            axis.imshow(explanation.pixels)
            axis.set(xticks=[], yticks=[])
        for axis, heat in zip(row[1:], explanation.stages.values(), strict=True):
            axis.imshow(heat, cmap="jet", alpha=0.45, vmin=0, vmax=1)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def pointing_game(
    checkpoint: Checkpoint,
    photos: Sequence[Photo],
    root: Path,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, float]:
    """How often a stage's maximum for the true class lies on a part that tells the species apart, on drawn birds in
    `root`: shares in 0..1 by stage, and `chance`, that of a point anywhere.

    Raises PmsiError for photos without masks.
    """
    network, preprocessing = checkpoint.network(), checkpoint.config.preprocessing
    hits: dict[str, list[float]] = {}
    for done, photo in enumerate(photos, start=1):
        mask = root / "masks" / photo.path.relative_to(root).with_suffix(".png")
        if not mask.is_file():
            raise PmsiError(f"{photo.path} has no mask ({mask}): the pointing game takes birds of pmsi-birds")
        image = eval_transform(load_checked(photo.path), preprocessing)
        parts = near(_mask(mask, preprocessing.resize, preprocessing.crop), TOLERANCE * preprocessing.crop)
        for name, heat in explain(network, checkpoint, image, photo.label).stages.items():
            hits.setdefault(name, []).append(float(parts.flat[heat.argmax()]))
        hits.setdefault("chance", []).append(float(parts.mean()))
        progress(done)
    return {name: float(np.mean(each)) for name, each in hits.items()}


def _mask(path: Path, resize: int, crop: int) -> NDArray[np.bool_]:
    stretched = Image.open(path).convert("L").resize((resize, resize), Image.Resampling.NEAREST)
    return centre(np.asarray(stretched), crop) > 127


def near(mask: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """The places at most `distance` pixels away from the mask's, along each axis."""
    reach = int(distance)
    spread = F.max_pool2d(torch.from_numpy(mask)[None, None].float(), 2 * reach + 1, stride=1, padding=reach)
    return spread[0, 0].numpy() > 0
