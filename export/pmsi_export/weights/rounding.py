"""Rounding a layer's weights to int8 or to a palette so that its outputs change least.

In int8 every output channel of a weight gets the grid scale * q with whole q in -127..127. One q is always 127 or -127:
a quantiser that takes scale = max|w| / 127 per channel, as those of every format do, finds this grid again.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_RIDGE = 0.01
"""Of the mean variance, added to every input's: photos never show all that can come in."""
_BLOCK = 64
_SWEEPS = 2


def round_weight(weight: Tensor, covariance: Tensor, smallest_scale: float) -> Tensor:
    """Weight [G, R, K] (groups, output channels of a group, inputs) -> on its grid, the nearest one for inputs of
    covariance [G, K, K]: q minimises (scale q - w) covariance (scale q - w)^T per channel.

    GPTQ (Frantar et al. 2023: column after column, the error made good by the columns to come), then coordinate
    descent from there. Channels with smaller scales than `smallest_scale` get that one: what is so small beside the
    layer's outputs only makes the bias overflow.
    """
    covariance = _with_ridge(covariance)
    largest, full = weight.abs().max(dim=2)
    scale = (largest / 127).clamp_min(smallest_scale)
    sign = torch.where(weight.gather(2, full[..., None])[..., 0] < 0, -1.0, 1.0)

    def nearest(exact: Tensor, column: Tensor) -> Tensor:
        whole = (exact / scale).round().clamp(-127, 127)
        return scale * torch.where(full == column[:, None], 127 * sign, whole)

    rounded = (_gptq(weight, covariance, nearest) / scale[..., None]).round()
    rounded = _descend(rounded, weight, covariance, scale, full)
    # As float32 would give it to a quantiser, whose scale is then the same.
    return rounded * scale[..., None]


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


def _descend(rounded: Tensor, weight: Tensor, covariance: Tensor, scale: Tensor, full: Tensor) -> Tensor:
    """Move one column at a time to its best whole number, the others as they are; the `full` ones stay."""
    rounded = rounded.clone()
    columns = weight.shape[2]
    fixed = F.one_hot(full, columns).bool()
    gradient = (rounded * scale[..., None] - weight) @ covariance
    for start in [*range(0, columns, _BLOCK)] * _SWEEPS:
        block = slice(start, min(start + _BLOCK, columns))
        before = rounded[:, :, block].clone()
        slope = gradient[:, :, block].clone()
        for offset, column in enumerate(range(columns)[block]):
            now = rounded[:, :, column]
            best = now - slope[:, :, offset] / (covariance[:, column, column, None] * scale)
            moved = torch.where(fixed[:, :, column], now, best.round().clamp(-127, 127))
            slope += ((moved - now) * scale)[..., None] * covariance[:, None, column, block]
            rounded[:, :, column] = moved
        gradient += (rounded[:, :, block] - before) * scale[..., None] @ covariance[:, block]
    return rounded
