"""Photos as they should not be, for measuring what a network takes (Table VII of the paper). No PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pmsi_mobile.errors import PmsiError

CorruptionName = Literal["color-jitter", "gaussian-noise", "gaussian-noise:wrap"]
NAMES: tuple[CorruptionName, ...] = get_args(CorruptionName)
AMPLITUDE = 5.0
"""Grey levels of the noise's standard deviation at severity 1."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Corruption:
    """Changes an image; what is drawn is a function of `seed` and of the image's own pixels.

    `color-jitter`: brightness, contrast and saturation by factors of 1 - severity to 1 + severity (0 at least), in a
    random order. `gaussian-noise`: one map of 5 * severity grey levels for all three channels, cut at 0 and 255, or
    with `:wrap` counted on from the other end, as where a sum is put into a byte.
    """

    name: CorruptionName
    severity: float = 1.0
    seed: int = 0

    def __call__(self, pixels: Pixels) -> Pixels:
        """uint8 [H, W, 3] -> uint8 [H, W, 3]."""
        digest = blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).digest()
        generator = np.random.default_rng([self.seed, int.from_bytes(digest, "big")])
        if self.name == "color-jitter":
            return _jitter(pixels, self.severity, generator)
        noise = np.rint(generator.normal(0, AMPLITUDE * self.severity, (*pixels.shape[:2], 1)))
        summed = pixels.astype(np.int64) + noise.astype(np.int64)
        return (summed if self.name == "gaussian-noise:wrap" else summed.clip(0, 255)).astype(np.uint8)

    def __str__(self) -> str:
        return f"{self.name}, severity {self.severity:g}, seed {self.seed}"


def read_corruption(name: str | None, severity: float, seed: int) -> Corruption | None:
    """The corruption of that name, or None for none. Raises PmsiError for another name."""
    if name is None:
        return None
    known = next((each for each in NAMES if each == name), None)
    if known is None:
        raise PmsiError(f"--corrupt takes {', '.join(NAMES)} (got '{name}')")
    return Corruption(known, severity, seed)


def _jitter(pixels: Pixels, severity: float, generator: np.random.Generator) -> Pixels:
    enhancers: tuple[Callable[[Image.Image], ImageEnhance._Enhance], ...] = (
        ImageEnhance.Brightness,
        ImageEnhance.Contrast,
        ImageEnhance.Color,
    )
    factors = generator.uniform(max(0, 1 - severity), 1 + severity, len(enhancers))
    image = Image.fromarray(pixels)
    for index in generator.permutation(len(enhancers)):
        image = enhancers[index](image).enhance(factors[index])
    return np.asarray(image)
