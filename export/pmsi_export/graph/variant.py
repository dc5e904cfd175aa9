"""A checkpoint as the graph that is exported sees it."""

from dataclasses import replace
from pathlib import Path

import torch
from torchvision.transforms.v2 import functional as F

from pmsi_export.jobs.job import Variant
from pmsi_export.runtime.reference import reference_runner
from pmsi_mobile.checkpoint import Checkpoint, Golden, load_checkpoint
from pmsi_mobile.errors import PmsiError


def load_variant(path: Path, variant: Variant) -> Checkpoint:
    """Load a checkpoint for another input size or head: photos are resized in proportion, and the golden samples
    carry what the training network gives in that way.

    Raises PmsiError when the checkpoint cannot be used, or has no such head or not so many classes.
    """
    checkpoint = load_checkpoint(path)
    if variant.head == "concat" and checkpoint.config.method == "baseline":
        raise PmsiError("the baseline has one classifier and no concat head: leave out --head")
    if variant.top_k and variant.top_k > len(checkpoint.classes):
        raise PmsiError(f"the checkpoint has {len(checkpoint.classes)} classes, --top-k asks for {variant.top_k}")
    if variant.head == "mix" and variant.size is None:
        return checkpoint
    preprocessing = checkpoint.config.preprocessing
    side = variant.size or preprocessing.crop
    resize = round(preprocessing.resize * side / preprocessing.crop)
    resized = preprocessing.model_copy(update={"resize": resize, "crop": side})
    other = replace(checkpoint, config=checkpoint.config.model_copy(update={"preprocessing": resized}))
    runner = reference_runner(other, variant.head)
    images = F.resize(checkpoint.golden.images, [side, side], antialias=True)
    probabilities = [torch.from_numpy(runner.predict(image.permute(1, 2, 0).numpy())) for image in images]
    return replace(other, golden=Golden(images, torch.stack(probabilities)))
