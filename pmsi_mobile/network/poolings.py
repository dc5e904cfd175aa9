"""How the maps of a backbone become one vector."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-5
_SMALLEST = 2.0**-14
"""Half precision has no smaller normal number."""


class GlobalAverage(nn.Module):
    """The last map's mean over its places: [B, C, h, w] -> [B, C]."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        return F.adaptive_avg_pool2d(maps[-1], 1).flatten(1)


class BilinearPooling(nn.Module):
    """The mean outer product of the last map's features with themselves: [B, C, h, w] -> [B, C * C] (Lin et al. 2015,
    Bilinear CNN)."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        features = maps[-1].flatten(2)
        products = (features @ features.transpose(1, 2) / features.shape[2]).flatten(1)
        # The root is bounded at 0, where its slope would not be.
        return F.normalize(products.sign() * (products.abs() + _EPSILON).sqrt(), dim=1)


class HierarchicalBilinearPooling(nn.Module):
    """Mean products of each two of the maps, projected to `width` channels: maps of the same size -> [B, pairs * width]
    (Yu et al. 2018, Hierarchical bilinear pooling; of sums, too large for half precision, the result is the same)."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        projected = [projection(x) for projection, x in zip(self.projections, maps, strict=True)]
        pairs = itertools.combinations(projected, 2)
        means = torch.stack([(first * second).mean((2, 3)) for first, second in pairs], dim=1)
        return normalised(means).flatten(1)


def normalised(x: Tensor) -> Tensor:
    """Signed square root, then length 1: [..., D] -> [..., D]. Nearer to 0 than 2^-14 the root is a line, for its slope
    at 0 is not bounded."""
    size = x.abs().clamp_min(_SMALLEST)
    return x * size.rsqrt() * size.sum(dim=-1, keepdim=True).rsqrt()
