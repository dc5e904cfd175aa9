"""What every runtime looks like once a file is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pmsi_mobile.errors import MeasurementError

Image = NDArray[np.uint8]
"""A resized and cropped RGB photo, [H, W, 3]."""
Probabilities = NDArray[np.float32]


class NotRunnable(MeasurementError):
    """A file's runtime does not exist on this system; `reason` says why and where it does."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be run here: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Runner:
    """A loaded model. The two steps are apart so that a benchmark can time the second alone.

    prepare: image uint8 [H, W, 3] -> the runtime's own input (layout, type, container).
    run: that input -> probabilities float32 [K].
    """

    prepare: Callable[[Image], Any]
    run: Callable[[Any], Probabilities]

    def predict(self, image: Image) -> Probabilities:
        return self.run(self.prepare(image))


def nchw(image: Image) -> NDArray[np.float32]:
    """uint8 [H, W, 3] -> float32 [1, 3, H, W], values unchanged."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def nhwc(image: Image) -> NDArray[np.float32]:
    """uint8 [H, W, 3] -> float32 [1, H, W, 3], values unchanged."""
    return np.ascontiguousarray(image[None], dtype=np.float32)
