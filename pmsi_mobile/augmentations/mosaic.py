"""Images of shuffled tiles: the recursive mosaic generator G(image, r) (section III-B of the paper), PMG's jigsaw."""

from typing import Literal

import torch
from torch import Tensor

PAPER_MAX_RECURSION = 3
Shuffle = Literal["cycle", "permutation"]
Draw = Literal["batch", "sample"]


def recursive_mosaic(
    images: Tensor,
    recursions: int,
    *,
    shuffle: Shuffle = "cycle",
    draw: Draw = "batch",
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
    _check_divisible(images, 2**recursions)
    if recursions == 0:
        return images
    mosaic = images.clone()
    groups = mosaic.split(1) if draw == "sample" else (mosaic,)
    for group in groups:
        region = group
        for _ in range(recursions):
            tiles = _tiles(region, 2)
            order = _random_order(len(tiles), shuffle, generator)
            shuffled = [tiles[source].clone() for source in order]
            for tile, content in zip(tiles, shuffled, strict=True):
                tile.copy_(content)
            region = tiles[int(torch.randint(4, (), generator=generator))]
    return mosaic


def jigsaw(
    images: Tensor,
    side: int,
    *,
    shuffle: Shuffle = "cycle",
    draw: Draw = "batch",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the images with their side x side tiles shuffled (PMG, Du et al. 2020).

    images, draw, generator: as in `recursive_mosaic`. PMG swaps the first tile with every other in a random order:
    a cycle. Raises ValueError when a side of the images is not divisible by `side`.
    """
    _check_divisible(images, side)
    puzzle = images.clone()
    size = 1 if draw == "sample" else len(images)
    for group, source in zip(puzzle.split(size), images.split(size), strict=True):
        tiles = _tiles(source, side)
        for tile, index in zip(_tiles(group, side), _random_order(len(tiles), shuffle, generator), strict=True):
            tile.copy_(tiles[index])
    return puzzle


def _check_divisible(images: Tensor, side: int) -> None:
    height, width = images.shape[-2:]
    if height % side or width % side:
        raise ValueError(
            f"{height} x {width} images cannot be cut into {side} x {side} tiles: sides must be divisible by {side}"
        )


def _tiles(region: Tensor, side: int) -> list[Tensor]:
    """Views of the side x side tiles of [B, C, H, W], row by row."""
    return [tile for row in region.chunk(side, dim=-2) for tile in row.chunk(side, dim=-1)]


def _random_order(tiles: int, shuffle: Shuffle, generator: torch.Generator | None) -> list[int]:
    """Which tile comes to each place: any permutation, or one in which all tiles move in a single ring."""
    order = torch.randperm(tiles, generator=generator)
    if shuffle == "cycle":
        order = torch.empty_like(order).scatter(0, order, order.roll(1))
    return order.tolist()
