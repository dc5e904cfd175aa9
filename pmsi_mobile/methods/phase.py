"""What a method tells the training loop."""

from typing import NamedTuple


class Phase(NamedTuple):
    """One optimisation phase of a batch: the head it trains, the mosaic's recursions r, its loss weight."""

    head: str
    recursions: int
    loss_weight: float
