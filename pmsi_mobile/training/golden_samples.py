"""Photos that travel in the checkpoint with what the network gives for them."""

from collections.abc import Sequence

import torch

from pmsi_mobile.checkpoint import Checkpoint, Golden
from pmsi_mobile.data.loading import EvalPhotos
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.network.mixing import mix

GOLDEN_SAMPLES = 8


def golden_samples(checkpoint: Checkpoint, photos: Sequence[Photo]) -> Golden:
    """Up to GOLDEN_SAMPLES of `photos`, spread evenly, with the network's Mix probabilities on the CPU in float32."""
    count = min(GOLDEN_SAMPLES, len(photos))
    chosen = [photos[index * len(photos) // count] for index in range(count)]
    preprocessing = checkpoint.config.preprocessing
    dataset = EvalPhotos(chosen, preprocessing)
    images = torch.stack([dataset[index][0] for index in range(count)])
    with torch.inference_mode():
        logits = checkpoint.network()(normalise(images, preprocessing))
    return Golden(images, mix(logits, checkpoint.config.model.mix).clone())
