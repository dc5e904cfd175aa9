"""BatchNorm statistics for inference, estimated apart from those that training keeps."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import reduce
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def precise_statistics(network: nn.Module, batches: Iterable[Tensor]) -> Iterator[None]:
    """Within this block every BatchNorm has the mean statistics of `batches`, after it its own again.

    The running statistics of training are those of its phases' mosaics, which inference never sees, and of weights
    that have moved on. (PreciseBN: Wu and Johnson 2021, Rethinking "Batch" in BatchNorm.) Everything but the
    BatchNorms is in eval mode; no gradient. batches: normalised images [B, 3, H, W]. Each process gives its own, as
    many as the others.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    kept = [(norm.momentum, {name: buffer.clone() for name, buffer in norm.named_buffers()}) for norm in norms]
    was_training = network.training
    try:
        network.eval()
        for norm in norms:
            norm.train()
        with torch.no_grad():
            for count, images in enumerate(batches, start=1):
                for norm in norms:
                    norm.momentum = 1 / count  # The cumulative mean.
                network(images)
            for norm in norms:
                for buffer in norm.buffers():
                    if buffer.is_floating_point():
                        buffer.copy_(reduce(buffer, "mean"))
        network.eval()
        yield
    finally:
        for norm, (momentum, buffers) in zip(norms, kept, strict=True):
            norm.momentum = momentum
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])
        network.train(was_training)
