"""A checkpoint's training network, all its heads, with PyTorch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pmsi_export.evaluation.model import Model
from pmsi_export.evaluation.predictions import Predictions
from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.config import Resize
from pmsi_mobile.data.corruptions import Corruption
from pmsi_mobile.data.loading import EvalPhotos, eval_loader
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.evaluation import head_scores, probabilities, run_network
from pmsi_mobile.files import sha256
from pmsi_mobile.training.device import Device, choose_device


def open_checkpoint(path: Path, place: Device, batch_size: int) -> Model:
    """Raises PmsiError when it cannot be used, or this machine has no such device."""
    device = torch.device(choose_device(place))
    loaded = load_checkpoint(path)
    config = loaded.config
    network = loaded.network().to(device)
    # Of a single head there is no concat apart.
    names = ("mix", "concat") if len(network.head_names) > 1 else ("mix",)
    confidence = {name: loaded.confidence_of(name) for name in names}
    temperatures = {
        name: {"uncalibrated": 1.0} | ({"calibrated": each.temperature} if each.photos else {})
        for name, each in confidence.items()
    }

    def predict(
        photos: Sequence[Photo], resize: Resize, corruption: Corruption | None, progress: Callable[[int, int], None]
    ) -> Predictions:
        seen = EvalPhotos(photos, config.preprocessing, resize, corruption=corruption)
        batches = eval_loader(seen, batch_size, config.data.workers)
        outputs = run_network(network, batches, config.preprocessing, device, lambda done: progress(done, len(photos)))
        rule = config.model.mix
        return Predictions(
            head_scores(outputs, network.head_names, rule),
            {
                name: {
                    kind: probabilities(outputs, name, rule, temperature)
                    for kind, temperature in temperatures[name].items()
                }
                for name in names
            },
        )

    return Model(path, sha256(path), loaded.classes, confidence, config, loaded.trained_on, predict)
