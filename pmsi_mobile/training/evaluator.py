"""The network of a run as it is evaluated: with which BatchNorm statistics, and shared out among the processes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from torch import Tensor

from pmsi_mobile.config import Config
from pmsi_mobile.data.cache import ResizedPhotos
from pmsi_mobile.data.loading import EvalPhotos, eval_loader, shuffled_batches
from pmsi_mobile.data.splits import Photo
from pmsi_mobile.data.transforms import normalise
from pmsi_mobile.evaluation import Outputs, accuracies, run_network
from pmsi_mobile.methods.registry import Network
from pmsi_mobile.training.batch_norm import precise_statistics
from pmsi_mobile.training.outcome import Heads
from pmsi_mobile.training.speed import on_device


class Evaluator:
    """Evaluates between epochs and at the end of a run.

    plain: this process's share of `train.precise_bn` training photos, the same ones in every epoch; cache: of resized
    photos, while there is one.
    """

    def __init__(self, config: Config, train: Sequence[Photo], accelerator: Accelerator) -> None:
        self.config = config
        self.accelerator = accelerator
        self.plain = self._share_of(train) if config.train.precise_bn else []
        self.cache: ResizedPhotos | None = None

    def _share_of(self, train: Sequence[Photo]) -> list[Photo]:
        config, accelerator = self.config, self.accelerator
        rank, processes, size = accelerator.process_index, accelerator.num_processes, config.train.batch_size
        batches = shuffled_batches([photo.label for photo in train], size, config.seed, 0, rank, processes)
        count = max(1, config.train.precise_bn // (size * processes))
        return [train[index] for batch in batches[:count] for index in batch]

    @contextmanager
    def at_inference(self, network: Network) -> Iterator[Network]:
        """`network` with the statistics that it is evaluated and saved with; its own are back afterwards."""
        if not self.plain:
            yield network
            return
        with precise_statistics(network, self._plain_batches()):
            yield network

    def _plain_batches(self) -> Iterator[Tensor]:
        """`plain` without mosaics, normalised."""
        preprocessing, train, device = self.config.preprocessing, self.config.train, self.accelerator.device
        photos = EvalPhotos(self.plain, preprocessing, cache=self.cache)
        for images, _ in eval_loader(photos, min(train.batch_size, len(self.plain)), self.config.data.workers):
            yield normalise(on_device(images, device, channels_last=train.channels_last), preprocessing)

    def evaluate(self, network: Network, photos: Sequence[Photo]) -> Heads:
        """Accuracies per head of `network` over `photos`; empty for no photos."""
        if not photos:
            return {}
        return accuracies(self.predict(network, photos), network.head_names, self.config.model.mix)

    def predict(self, network: Network, photos: Sequence[Photo]) -> Outputs:
        """What `network` gives for `photos`, in their order, shared out among the processes."""
        accelerator, train = self.accelerator, self.config.train
        # Each rank has its own running statistics after its last step; rank 0's are the ones that are saved.
        for buffer in network.buffers():
            broadcast(buffer)
        shares = [range(rank, len(photos), accelerator.num_processes) for rank in range(accelerator.num_processes)]
        own = [photos[index] for index in shares[accelerator.process_index]]
        photos_of = EvalPhotos(own, self.config.preprocessing, cache=self.cache)
        loader = eval_loader(photos_of, train.batch_size, self.config.data.workers)
        parts: list[Outputs] = (
            gather_object([run_network(network, loader, self.config.preprocessing, accelerator.device)])
            if own
            else gather_object([])
        )
        order = torch.tensor([index for share in shares for index in share]).argsort()
        logits, labels = (torch.cat([getattr(part, name) for part in parts])[order] for name in ("logits", "labels"))
        return Outputs(logits, labels)
