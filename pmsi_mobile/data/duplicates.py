"""Photos that show nearly the same, by their perceptual hashes."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pmsi_mobile.data.images import UnreadableImage, load_rgb

HASHED_SIDE = 64
"""Pixels that a photo's sides are decoded to at least: a hash sees 32."""
COPY_BITS = 10
"""Two photos whose hashes differ in no more of 64 bits are taken for copies of one, or shots of one moment. Of 2,936
grocery photos 82 pairs do, of which 2 are of different classes; of 12 bits 153, of which 12 are."""
_FEWEST_SET = 16
_AT_A_TIME = 1 << 22


def perceptual_hash(photo: Image.Image) -> int:
    """64 bits of the lowest frequencies (pHash): unrelated photos differ in 32 of them on average."""
    import imagehash

    return int.from_bytes(np.packbits(imagehash.phash(photo).hash.ravel()).tobytes(), "big")


def telling_hash(photo: Image.Image) -> int | None:
    """The same; None for a photo that shows nothing: all of those have one hash, in others half of the bits are set."""
    found = perceptual_hash(photo)
    return found if found.bit_count() >= _FEWEST_SET else None


def hash_photos(paths: Sequence[Path]) -> list[int | None]:
    """The telling hashes of photo files; None too where one cannot be read."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(_hash_file, paths))


def _hash_file(path: Path) -> int | None:
    try:
        return telling_hash(load_rgb(path, HASHED_SIDE))
    except UnreadableImage:
        return None


def near_pairs(
    first: Sequence[int | None], second: Sequence[int | None], bits: int = COPY_BITS
) -> list[tuple[int, int, int]]:
    """(index in `first`, index in `second`, bits that differ) of hashes that differ in no more than `bits`, the nearest
    pairs first."""
    (rows, a), (columns, b) = _known(first), _known(second)
    step = max(1, _AT_A_TIME // max(1, len(b)))
    pairs = []
    for start in range(0, len(a), step):
        differ = np.bitwise_count(a[start : start + step, None] ^ b)
        pairs += [(rows[start + i], columns[j], int(differ[i, j])) for i, j in np.argwhere(differ <= bits)]
    return sorted(pairs, key=lambda pair: (pair[2], pair[:2]))


def _known(hashes: Sequence[int | None]) -> tuple[list[int], NDArray[np.uint64]]:
    places = [index for index, each in enumerate(hashes) if each is not None]
    return places, np.array([hashes[index] for index in places], np.uint64)
