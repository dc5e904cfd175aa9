"""The training network as one more runner: what every exported file is compared with."""

import torch
from torch import Tensor

from pmsi_export.runtime.runner import Answer, Image, Runner
from pmsi_mobile.checkpoint import Checkpoint
from pmsi_mobile.confidence.unknown import unknown_scores
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.network.mixing import mix


def reference_runner(checkpoint: Checkpoint, head: str = "mix") -> Runner:
    """The checkpoint's network in eval mode on the CPU, unfolded, its heads mixed or (`concat`) the last one alone,
    calibrated. With an unknown score but for the mean of several softmaxes."""
    network = checkpoint.network()
    preprocessing, rule = checkpoint.config.preprocessing, checkpoint.config.model.mix
    temperature = checkpoint.confidence_of(head).temperature

    def prepare(image: Image) -> Tensor:
        return normalise(torch.from_numpy(image).permute(2, 0, 1)[None], preprocessing)

    @torch.inference_mode()
    def run(native: Tensor) -> Answer:
        logits = network(native)[:, 0 if head == "mix" else -1 :]
        probabilities = mix(logits, rule, temperature)[0].numpy()
        if rule == "probabilities" and logits.shape[1] > 1:
            return Answer(probabilities)
        [score] = unknown_scores((logits.sum(dim=1) / temperature).numpy())
        return Answer(probabilities, float(score))

    return Runner(prepare, run)
