"""The training network as one more runner: what every exported file is compared with."""

import torch
from torch import Tensor

from pmsi_export.runtime.runner import Image, Probabilities, Runner
from pmsi_mobile.checkpoint import Checkpoint
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.network.mixing import mix


def reference_runner(checkpoint: Checkpoint, head: str = "mix") -> Runner:
    """The checkpoint's network in eval mode on the CPU, unfolded, its heads mixed or (`concat`) the last one alone,
    calibrated."""
    network = checkpoint.network()
    preprocessing, rule = checkpoint.config.preprocessing, checkpoint.config.model.mix
    temperature = checkpoint.confidence_of(head).temperature

    def prepare(image: Image) -> Tensor:
        return normalise(torch.from_numpy(image).permute(2, 0, 1)[None], preprocessing)

    @torch.inference_mode()
    def run(native: Tensor) -> Probabilities:
        logits = network(native)
        return mix(logits if head == "mix" else logits[:, -1:], rule, temperature)[0].numpy()

    return Runner(prepare, run)
