"""What a run leaves: ckpt.pt after its best epoch; at the end its last figures, curves and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pmsi_mobile import records
from pmsi_mobile.checkpoint import Checkpoint, Golden, save_checkpoint
from pmsi_mobile.confidence.calibration import calibrate
from pmsi_mobile.config import Config
from pmsi_mobile.data.splits import DataSet, Photo
from pmsi_mobile.evaluation import Outputs, accuracies, calibration
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.provenance import now, versions
from pmsi_mobile.training.golden_samples import golden_samples

Heads = dict[str, dict[str, float]]
"""As `evaluation.accuracies` gives them."""


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights and statistics, on the CPU."""
    state = network.state_dict()
    return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def write_checkpoint(
    path: Path, weights: Mapping[str, Tensor], config: Config, data: DataSet, epoch: int, val: Heads
) -> None:
    """Write the network as it is after `epoch` epochs, with golden samples and its accuracies on the val split."""
    metrics: dict[str, Any] = {"epoch": epoch, "select": config.train.select}
    if val:
        metrics["val"] = {"photos": len(data.val), "heads": val}
    without_golden = Checkpoint(
        config=config,
        classes=data.classes,
        weights=weights,
        metrics=metrics,
        golden=Golden(torch.empty(0), torch.empty(0)),
        provenance={
            "created": now(),
            "versions": versions("torch", "torchvision", "accelerate", "timm"),
            "data": {
                "name": data.root.resolve().name,
                "layout": data.layout,
                "train": len(data.train),
                "val": len(data.val),
                "test": len(data.test),
            },
        },
        trained_on=frozenset(photo.digest for photo in data.train if photo.digest),
    )
    golden = golden_samples(without_golden, data.val or data.train)
    save_checkpoint(replace(without_golden, golden=golden), path)


def write_end(
    folder: Path,
    checkpoint: Checkpoint,
    data: DataSet,
    val: Outputs | None,
    test: Outputs | None,
    head_names: tuple[str, ...],
    history: Sequence[records.Row],
) -> None:
    """Add to ckpt.pt what only the end of a run knows, its calibration on the val split too; write curves.png,
    heads.csv and predictions.csv."""
    metrics = {**checkpoint.metrics, "last_epoch": history[-1]}
    rule = checkpoint.config.model.mix
    if val:
        checkpoint = replace(checkpoint, confidence=calibrate(val.logits, val.labels, rule))
    if test:
        heads = accuracies(test, head_names, rule)
        figures = calibration(test, "mix", rule, checkpoint.confidence_of().temperature)
        worth = {name: asdict(each) for name, each in figures.items()}
        metrics["test"] = {"photos": len(data.test), "heads": heads, "confidence": worth}
    save_checkpoint(replace(checkpoint, metrics=metrics), folder / "ckpt.pt")
    records.plot_curves(folder / "curves.png", history)
    rows: list[dict[str, float | str]] = [
        {"split": split, "photos": metrics[split]["photos"], "head": head, **values}
        for split in ("val", "test")
        if split in metrics
        for head, values in metrics[split]["heads"].items()
    ]
    if rows:
        records.write_csv(folder / "heads.csv", rows)
    if test:
        # The last file: a sweep takes the run for done when it is there.
        write_predictions(folder / records.PREDICTIONS, data.test, data.root, test, checkpoint)


def write_predictions(
    path: Path, photos: Sequence[Photo], root: Path, outputs: Outputs, checkpoint: Checkpoint
) -> None:
    """One row per photo: its class, the class predicted by the mixed heads, the calibrated probabilities of both.

    These are what comparisons photo by photo start from.
    """
    probabilities = mix(outputs.logits, checkpoint.config.model.mix, checkpoint.confidence_of().temperature)
    confidence, predicted = probabilities.max(dim=1)
    true = probabilities.gather(1, outputs.labels[:, None])[:, 0]
    classes = checkpoint.classes
    records.write_csv(
        path,
        [
            {
                "photo": photo.path.relative_to(root).as_posix(),
                "class": classes[photo.label],
                "predicted": classes[choice],
                "probability": first,
                "probability_of_class": of_class,
            }
            for photo, choice, first, of_class in zip(
                photos, predicted.tolist(), confidence.tolist(), true.tolist(), strict=True
            )
        ],
    )
