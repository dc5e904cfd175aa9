"""The parity gates: does an exported file give what the training network gives?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract import Agreement, Parity
from pmsi_export.runner import Image, Runner


@dataclass(frozen=True)
class Gate:
    """Bounds on an agreement: of the largest difference of probabilities, and of the share of equal top-1."""

    max_abs_difference: float
    top1_agreement: float

    def __str__(self) -> str:
        return f"max abs difference <= {self.max_abs_difference:g}, top-1 agreement >= {self.top1_agreement:.1%}"


GATES: Mapping[str, Gate] = {"fp32": Gate(max_abs_difference=1e-4, top1_agreement=1.0)}


def agreement(
    runner: Runner,
    images: Iterable[Image],
    reference: NDArray[np.float32],
    labels: Sequence[int] | None = None,
) -> Agreement:
    """Compare a runner with the reference's probabilities [N, K] of the same N >= 1 images (uint8 [H, W, 3]).

    labels: true classes of the images, for the accuracy of both. An output that is not a number counts as off by 1.
    Raises ValueError when the outputs are not [K] or the images are not N.
    """
    differences, own = [], []
    for image, expected in zip(images, reference, strict=True):
        probabilities = runner.predict(image)
        if probabilities.shape != expected.shape:
            raise ValueError(f"the file gives {probabilities.shape} probabilities, {expected.shape} are expected")
        differences.append(float(np.nan_to_num(np.abs(probabilities - expected), nan=1.0).max()))
        own.append(int(probabilities.argmax()))
    top1, reference_top1 = np.array(own), reference.argmax(axis=1)
    return Agreement(
        images=len(own),
        max_abs_difference=max(differences),
        top1_agreement=float((top1 == reference_top1).mean()),
        top1=None if labels is None else float((top1 == np.array(labels)).mean()),
        reference_top1=None if labels is None else float((reference_top1 == np.array(labels)).mean()),
    )


def judge(precision: str, golden: Agreement, photos: Agreement | None = None) -> Parity:
    """Apply the precision's gate to the golden samples and, where there are any, to the photos of `--data`."""
    gate = GATES[precision]
    measured = {"golden samples": golden} | ({"photos": photos} if photos else {})
    misses = [f"{name}: {miss}" for name, values in measured.items() for miss in _misses(gate, values)]
    return Parity(
        status="failed" if misses else "passed",
        gate=str(gate),
        reason="; ".join(misses) or None,
        golden=golden,
        photos=photos,
    )


def not_measured(precision: str, reason: str) -> Parity:
    """The record of a gate that was not applied, and why."""
    return Parity(status="not measured", gate=str(GATES[precision]), reason=reason)


def _misses(gate: Gate, measured: Agreement) -> list[str]:
    misses = []
    if measured.max_abs_difference > gate.max_abs_difference:
        misses.append(f"max abs difference {measured.max_abs_difference:.2g} > {gate.max_abs_difference:g}")
    if measured.top1_agreement < gate.top1_agreement:
        misses.append(f"top-1 agreement {measured.top1_agreement:.1%} < {gate.top1_agreement:.1%}")
    return misses
