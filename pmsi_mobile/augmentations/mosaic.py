"""The recursive mosaic generator G(image, r) (section III-B of the paper)."""

from typing import Literal

import torch
from torch import Tensor

PAPER_MAX_RECURSION = 3

# The six 4-cycles: permutations of four tiles in which none keeps its place and all move in one ring.
_CYCLES = ((1, 2, 3, 0), (1, 3, 0, 2), (2, 0, 3, 1), (2, 3, 1, 0), (3, 0, 1, 2), (3, 2, 0, 1))


def recursive_mosaic(
    images: Tensor,
    recursions: int,
    *,
    shuffle: Literal["cycle", "permutation"] = "cycle",
    draw: Literal["batch", "sample"] = "batch",
    generator: torch.Generator | None = None,
    allow_deep: bool = False,
) -> Tensor:
    """Return G(images, r): r times, shuffle the 2 x 2 tiles of the region, then go on inside a random tile.

    images: [B, C, H, W], any dtype and device; it is not changed. r = 0 returns it as it is.
    draw: one shuffle and tile for the whole batch, or independent ones per sample.
    generator: a CPU generator, so that a seed draws the same mosaics on every device.
    Raises ValueError when a side is not divisible by 2^r, or r exceeds 3 without `allow_deep`.
    """
    if recursions < 0 or (recursions > PAPER_MAX_RECURSION and not allow_deep):
        raise ValueError(f"recursions must be 0..{PAPER_MAX_RECURSION} (allow_deep=True for more), got {recursions}")
    height, width = images.shape[-2:]
    if height % 2**recursions or width % 2**recursions:
        raise ValueError(
            f"{height} x {width} images cannot be cut {recursions} times: sides must be divisible by {2**recursions}"
        )
    if recursions == 0:
        return images
    mosaic = images.clone()
    groups = mosaic.split(1) if draw == "sample" else (mosaic,)
    for group in groups:
        region = group
        for _ in range(recursions):
            tiles = _tiles(region)
            order = _random_order(shuffle, generator)
            shuffled = [tiles[source].clone() for source in order]
            for tile, content in zip(tiles, shuffled, strict=True):
                tile.copy_(content)
            region = tiles[int(torch.randint(4, (), generator=generator))]
    return mosaic


def _tiles(region: Tensor) -> list[Tensor]:
    """Views of the four quarters of [B, C, H, W], row by row."""
    half_height, half_width = region.shape[-2] // 2, region.shape[-1] // 2
    return [
        region[..., row : row + half_height, column : column + half_width]
        for row in (0, half_height)
        for column in (0, half_width)
    ]


def _random_order(shuffle: str, generator: torch.Generator | None) -> list[int]:
    if shuffle == "cycle":
        return list(_CYCLES[int(torch.randint(len(_CYCLES), (), generator=generator))])
    return torch.randperm(4, generator=generator).tolist()
