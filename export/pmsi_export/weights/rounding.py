"""Rounding a layer's weights to int8 or to a palette so that its outputs change least.

In int8 every output channel of a weight gets the grid scale * q with whole q in -127..127. One q is always 127 or -127:
a quantiser that takes scale = max|w| / 127 per channel, as those of every format do, finds this grid again. Where pairs
of weights must not add up to more than PAIR_SUM, a channel's grid may be coarser, and its quantiser has to be told.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_RIDGE = 0.01
"""Of the mean variance, added to every input's: photos never show all that can come in."""
_BLOCK = 64
_SWEEPS = 2
PAIR_SUM = 128
"""x86 processors without VNNI add two products of an unsigned byte and a signed one in 16 bits, which hold 255 * 128
but not 255 * 129."""


def round_weight(weight: Tensor, covariance: Tensor, smallest_scale: float, partners: Sequence[Tensor] = ()) -> Tensor:
    """Weight [G, R, K] (groups, output channels of a group, inputs) -> on its grid, the nearest one for inputs of
    covariance [G, K, K]: q minimises (scale q - w) covariance (scale q - w)^T per channel.

    GPTQ (Frantar et al. 2023: column after column, the error made good by the columns to come), then coordinate
    descent from there. Channels with smaller scales than `smallest_scale` get that one: what is so small beside the
    layer's outputs only makes the bias overflow.

    partners: column [K] -> the column whose products are added to its own in 16 bits, or itself for none; several, for
    kernels that differ. No two partners of one sign then add up to more than PAIR_SUM; a channel gets the smallest
    scale that allows it.
    """
    covariance = _with_ridge(covariance)
    largest, full = weight.abs().max(dim=2)
    scale = (largest / 127).clamp_min(smallest_scale)
    pinned = F.one_hot(full, weight.shape[2]).bool() if not partners else torch.zeros_like(weight, dtype=torch.bool)
    for partner in partners:
        scale = scale.maximum(_largest_pair(weight, partner) / PAIR_SUM)
    sign = torch.where(weight.gather(2, full[..., None])[..., 0] < 0, -1.0, 1.0)
    chosen = torch.zeros_like(weight)

    def nearest(exact: Tensor, column: Tensor) -> Tensor:
        index = column[:, None, None].expand(-1, weight.shape[1], 1)
        low, high = _room(chosen, column, partners)
        whole = (exact / scale).round().clamp(low, high)
        whole = torch.where(pinned.gather(2, index)[..., 0], 127 * sign, whole)
        chosen.scatter_(2, index, whole[..., None])
        return scale * whole

    _gptq(weight, covariance, nearest)
    rounded = _descend(chosen, weight, covariance, scale, pinned, partners)
    # As float32 would give it to a quantiser, whose scale is then the same.
    return rounded * scale[..., None]


def _largest_pair(weight: Tensor, partner: Tensor) -> Tensor:
    """The largest sum [G, R] of the sizes of two partners of one sign."""
    other = weight[:, :, partner]
    alone = partner == torch.arange(len(partner))
    return torch.where((weight * other > 0) & ~alone, (weight + other).abs(), 0).amax(dim=2)


def _room(whole: Tensor, column: Tensor, partners: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The least and the largest whole number [G, R] that a column [G] may have beside its partners in `whole`."""
    low, high = torch.full(whole.shape[:2], -127.0), torch.full(whole.shape[:2], 127.0)
    for partner in partners:
        beside = partner[column]
        other = whole.gather(2, beside[:, None, None].expand(-1, whole.shape[1], 1))[..., 0]
        other = torch.where((beside == column)[:, None], 0, other)
        low, high = low.maximum(-PAIR_SUM - other.clamp(max=0)), high.minimum(PAIR_SUM - other.clamp(min=0))
    return low, high


def round_to_palette(weight: Tensor, covariance: Tensor, palette: Tensor) -> Tensor:
    """The same to the values of `palette` [P], rising, by GPTQ alone."""
    borders = (palette[1:] + palette[:-1]) / 2

    def nearest(exact: Tensor, column: Tensor) -> Tensor:
        return palette[torch.bucketize(exact.contiguous(), borders)]

    return _gptq(weight, _with_ridge(covariance), nearest)


def _with_ridge(covariance: Tensor) -> Tensor:
    variance = covariance.diagonal(dim1=1, dim2=2)
    ridge = (_RIDGE * variance.mean(dim=1)).clamp_min(1e-12)
    return covariance + torch.diag_embed(ridge[:, None].expand_as(variance))


def _gptq(weight: Tensor, covariance: Tensor, nearest: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Weights [G, R, K] on their grids: nearest(values [G, R], the column of each group [G]) puts a column there."""
    groups, rows, columns = weight.shape
    order = covariance.diagonal(dim1=1, dim2=2).argsort(dim=1, descending=True)
    rank = order.argsort(dim=1)
    sorted_rows = covariance.gather(1, order[:, :, None].expand(-1, -1, columns))
    sorted_both = sorted_rows.gather(2, order[:, None].expand(-1, columns, -1)).double()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(sorted_both))
    factor = torch.linalg.cholesky(inverse, upper=True).float()
    remaining = weight.gather(2, order[:, None].expand(-1, rows, -1))
    rounded = torch.empty_like(weight)
    for start in range(0, columns, _BLOCK):
        stop = min(start + _BLOCK, columns)
        errors = torch.empty(groups, rows, stop - start)
        for column in range(start, stop):
            exact = remaining[:, :, column]
            chosen = rounded[:, :, column] = nearest(exact, order[:, column])
            error = errors[:, :, column - start] = (exact - chosen) / factor[:, column, column, None]
            remaining[:, :, column + 1 : stop] -= error[..., None] * factor[:, None, column, column + 1 : stop]
        remaining[:, :, stop:] -= errors @ factor[:, start:stop, stop:]
    return rounded.gather(2, rank[:, None].expand(-1, rows, -1))


def _descend(
    rounded: Tensor, weight: Tensor, covariance: Tensor, scale: Tensor, pinned: Tensor, partners: Sequence[Tensor]
) -> Tensor:
    """Move one column at a time to its best whole number, the others as they are; the pinned ones stay."""
    rounded = rounded.clone()
    groups, _, columns = weight.shape
    gradient = (rounded * scale[..., None] - weight) @ covariance
    for start in [*range(0, columns, _BLOCK)] * _SWEEPS:
        block = slice(start, min(start + _BLOCK, columns))
        before = rounded[:, :, block].clone()
        slope = gradient[:, :, block].clone()
        for offset, column in enumerate(range(columns)[block]):
            now = rounded[:, :, column]
            best = now - slope[:, :, offset] / (covariance[:, column, column, None] * scale)
            low, high = _room(rounded, torch.full((groups,), column), partners)
            moved = torch.where(pinned[:, :, column], now, best.round().clamp(low, high))
            slope += ((moved - now) * scale)[..., None] * covariance[:, None, column, block]
            rounded[:, :, column] = moved
        gradient += (rounded[:, :, block] - before) * scale[..., None] @ covariance[:, block]
    return rounded
