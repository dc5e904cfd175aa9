"""Resized photos, kept so that each is decoded once and not in every epoch. No PyTorch."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.data.resizes import Resize

Key = tuple[Path, Resize, bool]
"""A photo, how it is resized, and whether it may be decoded at a reduced size for that."""
Pixels = Mapping[Key, NDArray[np.uint8]]


class ResizedPhotos:
    """A file with room for the pixels of `keys`, `side` x `side` each, or of as many of the first as `gib` GiB hold.

    Loader processes share it: whoever first asks for a photo fills all of its slots. It is made empty; a file system
    that takes no more only means that photos are decoded again.
    """

    def __init__(self, path: Path, keys: Iterable[Key], side: int, gib: float) -> None:
        self.path = path
        self.side = side
        self.bytes = 3 * side * side + 1  # The last one says that the others are there.
        room = int(gib * 2**30) // self.bytes
        self.slots = {key: slot for slot, key in enumerate(list(dict.fromkeys(keys))[:room])}
        self.of_photo: dict[Path, list[Key]] = {}
        for key in self.slots:
            self.of_photo.setdefault(key[0], []).append(key)
        path.write_bytes(b"")

    def pixels(self, key: Key, resized: Callable[[Sequence[Key]], Pixels]) -> NDArray[np.uint8]:
        """uint8 [side, side, 3] of `key`. Where they are not kept, `resized` is asked for them, and for those of the
        photo's other keys."""
        slot = self.slots.get(key)
        if slot is None:
            return resized([key])[key]
        kept = os.pread(self._file, self.bytes, slot * self.bytes)
        if len(kept) == self.bytes and kept[-1]:
            return np.frombuffer(kept, np.uint8, self.bytes - 1).reshape(self.side, self.side, 3)
        all_of_it = resized(self.of_photo[key[0]])
        try:
            for other, pixels in all_of_it.items():
                os.pwrite(self._file, pixels.tobytes() + b"\1", self.slots[other] * self.bytes)
        except OSError:  # No room on the disk.
            self.slots = {}
        return all_of_it[key]

    def holds(self, keys: Iterable[Key]) -> bool:
        """Whether the pixels of all of them are kept by now."""
        return all(key in self.slots and self._is_there(self.slots[key]) for key in keys)

    def _is_there(self, slot: int) -> bool:
        return os.pread(self._file, 1, (slot + 1) * self.bytes - 1) == b"\1"

    def close(self) -> None:
        """Remove the file."""
        if "_file" in self.__dict__:
            os.close(self.__dict__.pop("_file"))
        self.path.unlink(missing_ok=True)

    @cached_property
    def _file(self) -> int:
        return os.open(self.path, os.O_RDWR)

    def __getstate__(self) -> dict[str, Any]:
        """For a loader process that is not forked: it opens the file itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}
