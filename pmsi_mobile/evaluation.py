"""What a training network gives for photos: accuracy of each head, of Concat and of Mix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pmsi_mobile.accuracy import top_k
from pmsi_mobile.confidence.measures import Calibration, measure
from pmsi_mobile.config import Preprocessing
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.network.mixing import mix


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


def head_scores(outputs: Outputs, head_names: tuple[str, ...], mix_rule: str) -> dict[str, NDArray[np.float32]]:
    """What every head and, of several, `mix` ranks classes by: [N, K] each; the last is what is shipped."""
    scores = {name: outputs.logits[:, index] for index, name in enumerate(head_names)}
    if len(head_names) > 1:
        scores["mix"] = mix(outputs.logits, mix_rule)
    return {name: values.numpy() for name, values in scores.items()}


def accuracies(outputs: Outputs, head_names: tuple[str, ...], mix_rule: str) -> dict[str, dict[str, float]]:
    """`{head: {"top1": ..., "top5": ...}}` for every head and `mix`, as shares in 0..1."""
    labels = outputs.labels.numpy()
    scores = head_scores(outputs, head_names, mix_rule)
    return {name: {f"top{k}": top_k(values, labels, k) for k in (1, 5)} for name, values in scores.items()}


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
