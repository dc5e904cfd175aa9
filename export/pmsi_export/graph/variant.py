"""Which graph of a checkpoint is exported, and the checkpoint as that graph sees it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pmsi_mobile.errors import PmsiError

if TYPE_CHECKING:
    from pmsi_mobile.checkpoint import Checkpoint


@dataclass(frozen=True)
class Variant:
    """Which graph of a checkpoint is exported.

    head: `mix`, or `concat` for Eq. 7's classifier alone. size: side of the input in pixels, null for the one that
    training used. top_k: give the k largest probabilities and their classes, null for all. unknown_score: give how
    little the photo is like any class, too.
    """

    head: str = "mix"
    size: int | None = None
    top_k: int | None = None
    unknown_score: bool = False

    def __str__(self) -> str:
        """For file names: empty, `-concat-224-top5` or `-unknown`."""
        parts = ["concat"] if self.head == "concat" else []
        parts += [str(self.size)] if self.size else []
        parts += [f"top{self.top_k}"] if self.top_k else []
        parts += ["unknown"] if self.unknown_score else []
        return "".join(f"-{part}" for part in parts)


def load_variant(path: Path, variant: Variant) -> "Checkpoint":
    """Load a checkpoint for another input size or head: photos are resized in proportion, and the golden samples
    carry what the training network gives in that way, calibrated. What was promised at one size is not at another.

    Raises PmsiError when the checkpoint cannot be used, or has no such head or not so many classes.
    """
    # Here and not above: the command line passes variants on without PyTorch.
    import numpy as np
    import torch
    from PIL import Image

    from pmsi_export.runtime.reference import reference_runner
    from pmsi_mobile.checkpoint import Golden, load_checkpoint
    from pmsi_mobile.data.resizes import stretch

    checkpoint = load_checkpoint(path)
    if variant.head == "concat" and not checkpoint.config.staged:
        raise PmsiError(f"{checkpoint.config.method} has one classifier and no concat head: leave out --head")
    if variant.top_k and variant.top_k > len(checkpoint.classes):
        raise PmsiError(f"the checkpoint has {len(checkpoint.classes)} classes, --top-k asks for {variant.top_k}")
    model = checkpoint.config.model
    averaged = checkpoint.config.staged and model.progressive and model.mix == "probabilities"
    if variant.unknown_score and variant.head == "mix" and averaged:
        raise PmsiError(
            "model.mix=probabilities averages several softmaxes, there are no logits for an unknown score: leave out "
            "--unknown-score, or export --head concat"
        )
    if variant.head == "mix" and variant.size is None:
        return _with_calibrated_golden(checkpoint)
    preprocessing = checkpoint.config.preprocessing
    side = variant.size or preprocessing.crop
    resize = round(preprocessing.resize * side / preprocessing.crop)
    resized = preprocessing.model_copy(update={"resize": resize, "crop": side})
    confidence = checkpoint.confidence
    if variant.size is not None:
        nothing = {"answers": (), "unknown": None}
        confidence = {head: each.model_copy(update=nothing) for head, each in confidence.items()}
    config = checkpoint.config.model_copy(update={"preprocessing": resized})
    other = replace(checkpoint, config=config, confidence=confidence)
    runner = reference_runner(other, variant.head)
    photos = (Image.fromarray(image.permute(1, 2, 0).numpy()) for image in checkpoint.golden.images)
    images = [np.array(stretch(photo, side, "antialias")) for photo in photos]
    probabilities = [torch.from_numpy(runner.predict(image)) for image in images]
    golden = Golden(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.stack(probabilities))
    return replace(other, golden=golden)


def _with_calibrated_golden(checkpoint: "Checkpoint") -> "Checkpoint":
    temperature = checkpoint.confidence_of().temperature
    if temperature == 1:
        return checkpoint
    # Of the logarithms of probabilities a softmax is what it is of the logits.
    logits = checkpoint.golden.probabilities.double().log()
    probabilities = (logits / temperature).softmax(dim=1).float()
    return replace(checkpoint, golden=replace(checkpoint.golden, probabilities=probabilities))
