"""What a model says of photos: the same for checkpoints and exported files."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class Predictions:
    """Of N photos.

    heads: what each head ranks classes by, [N, K]; what is shipped comes last. probabilities: of `mix` (or an only
    head) and `concat`, as far as there are any, by `uncalibrated` and `calibrated`, [N, K]; what is shipped is the last
    of the first prediction's.
    """

    heads: Mapping[str, Scores]
    probabilities: Mapping[str, Mapping[str, Scores]]

    @property
    def shipped(self) -> Scores:
        """The probabilities [N, K] that a user gets."""
        return list(next(iter(self.probabilities.values())).values())[-1]
