"""Teachers: trained networks whose predictions a student learns from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pmsi_mobile.checkpoint import load_checkpoint
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.errors import PmsiError
from pmsi_mobile.network.mixing import mix


class Teachers:
    """Checkpoints in eval mode, on a GPU in half precision; what they say is softened by `temperature`.

    Raises PmsiError when one cannot be loaded or has other classes than `classes`.
    """

    def __init__(
        self, checkpoints: Sequence[Path], temperature: float, classes: Sequence[str], device: torch.device
    ) -> None:
        self.temperature = temperature
        self.device = device
        self.checkpoints = [load_checkpoint(path) for path in checkpoints]
        self.orders = [
            _order(checkpoint.classes, classes, path).to(device)
            for checkpoint, path in zip(self.checkpoints, checkpoints, strict=True)
        ]
        self.networks = [checkpoint.network().requires_grad_(False).to(device) for checkpoint in self.checkpoints]

    @torch.no_grad()
    def soft_labels(self, images: Tensor) -> Tensor:
        """uint8 images [B, 3, H, W], whole, of any size -> probabilities [B, K]: each teacher's
        Mix softened, and their mean."""
        each = []
        for checkpoint, network, order in zip(self.checkpoints, self.networks, self.orders, strict=True):
            with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
                logits = network(normalise(images, checkpoint.config.preprocessing))
            probabilities = mix(logits.float(), checkpoint.config.model.mix)
            each.append((probabilities.log() / self.temperature).softmax(dim=1)[:, order])
        return torch.stack(each).mean(dim=0)


def _order(given: Sequence[str], wanted: Sequence[str], path: Path) -> Tensor:
    """Where each of the wanted classes is among the given ones."""
    if set(given) != set(wanted):
        differing = sorted(set(given) ^ set(wanted))
        raise PmsiError(
            f"teacher {path} has other classes than the photos ({len(differing)} differ, first: {differing[0]}): "
            "train it on the same classes"
        )
    return torch.tensor([given.index(name) for name in wanted])
