"""Accuracy of each head, of Concat and of Mix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pmsi_mobile.confidence.measures import Calibration, measure
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.network.mixing import mix
from pmsi_mobile.records import write_csv


@dataclass(frozen=True)
class Outputs:
    """What a network gave for N photos: logits [N, heads, K] and labels [N], on the CPU."""

    logits: Tensor
    labels: Tensor


@torch.inference_mode()
def run_network(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    preprocessing: Preprocessing,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> Outputs:
    """All heads' logits over batches of uint8 photos, in eval mode. `progress` is told the photos done."""
    was_training = network.training
    network.eval()
    logits, labels = [], []
    done = 0
    for images, targets in batches:
        inputs = normalise(images.to(device, non_blocking=True), preprocessing)
        logits.append(network(inputs).float().cpu())
        labels.append(targets)
        done += len(targets)
        if progress:
            progress(done)
    network.train(was_training)
    return Outputs(torch.cat(logits), torch.cat(labels))


def accuracies(outputs: Outputs, head_names: tuple[str, ...], mix_rule: str) -> dict[str, dict[str, float]]:
    """`{head: {"top1": ..., "top5": ...}}` for every head and `mix`, as shares in 0..1."""
    scores = {name: outputs.logits[:, index] for index, name in enumerate(head_names)}
    if len(head_names) > 1:
        scores["mix"] = mix(outputs.logits, mix_rule)
    return {name: {f"top{k}": _top(values, outputs.labels, k) for k in (1, 5)} for name, values in scores.items()}


def _top(scores: Tensor, labels: Tensor, k: int) -> float:
    best = scores.topk(min(k, scores.shape[1])).indices
    return float((best == labels[:, None]).any(dim=1).double().mean())


def probabilities(outputs: Outputs, head: str, mix_rule: str, temperature: float) -> NDArray[np.float64]:
    """Of `mix` (or a network's only head) or `concat`, [N, K], at a temperature."""
    logits = outputs.logits[:, -1:] if head == "concat" else outputs.logits
    return mix(logits.double(), mix_rule, temperature).numpy()


def calibration(outputs: Outputs, head: str, mix_rule: str, temperature: float) -> dict[str, Calibration]:
    """What the probabilities of `mix` or `concat` are worth, `uncalibrated` and `calibrated`."""
    labels = outputs.labels.numpy()
    temperatures = {"uncalibrated": 1.0, "calibrated": temperature}
    return {
        name: measure(probabilities(outputs, head, mix_rule, value), labels) for name, value in temperatures.items()
    }


def final_head(head_names: tuple[str, ...]) -> str:
    """The name under which `accuracies` lists the prediction that is shipped: `mix`, or the only head."""
    return "mix" if len(head_names) > 1 else head_names[0]


def interval(share: float, photos: int) -> tuple[float, float]:
    """95 % Wilson interval of a share measured on `photos` photos."""
    from scipy.stats import binomtest  # slow to import, and only tables need it

    result = binomtest(round(share * photos), photos).proportion_ci(method="wilson")
    return float(result.low), float(result.high)


def confusion_matrix(outputs: Outputs, mix_rule: str) -> Tensor:
    """Counts [K, K], true class by row, Mix prediction by column."""
    classes = outputs.logits.shape[-1]
    predicted = mix(outputs.logits, mix_rule).argmax(dim=1)
    return torch.bincount(outputs.labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def write_per_class(path: Path, confusion: Tensor, classes: tuple[str, ...]) -> None:
    """CSV with a row per class: photos, Mix top-1, and the class it is most often taken for."""
    rows: list[dict[str, float | str]] = []
    for index, name in enumerate(classes):
        row = confusion[index].clone()
        photos, correct = int(row.sum()), int(row[index])
        row[index] = 0
        times = int(row.max())
        rows.append(
            {
                "class": name,
                "photos": photos,
                "correct": correct,
                "top1": f"{correct / photos:.4f}" if photos else "",
                "most_confused_with": classes[int(row.argmax())] if times else "",
                "times": times,
            }
        )
    write_csv(path, rows)
