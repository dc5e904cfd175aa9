"""The parity gates: does an exported file give what the training network gives?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmsi_export.contract.schema import Agreement, Parity, ScoreAgreement
from pmsi_export.runtime.runner import Image, Runner
from pmsi_mobile.confidence.measures import calibration_error, first_and_correct
from pmsi_mobile.errors import MeasurementError

CONFIDENT_MARGIN = 0.3
"""A photo on which the reference's first probability is this far above its second is one that it is sure of."""
ENOUGH_PHOTOS = 200
"""Fewer than these say little about a quantised file: the report then says how few there were."""
_NO_SCORE = 1e6
"""What a score that is not finite, or missing, is off by."""


@dataclass(frozen=True)
class Gate:
    """Bounds on an agreement; a bound that is None is not applied.

    max_abs_difference: of probabilities. top1_agreement: on all images. sqnr_db: of the probabilities.
    confident_agreement: equal top-1 where the reference is sure. accuracy_drop: of top-1, where labels are known.
    ece_rise: of the expected calibration error, on ENOUGH_PHOTOS labelled images or more. score_difference,
    score_snr_db: of the unknown score, for files that give it.
    """

    max_abs_difference: float | None = None
    top1_agreement: float | None = None
    sqnr_db: float | None = None
    confident_agreement: float | None = None
    accuracy_drop: float | None = None
    ece_rise: float | None = None
    score_difference: float | None = None
    score_snr_db: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.max_abs_difference is not None:
            parts.append(f"max abs difference <= {self.max_abs_difference:g}")
        if self.top1_agreement is not None:
            parts.append(f"top-1 agreement >= {self.top1_agreement:.1%}")
        if self.sqnr_db is not None:
            parts.append(f"SQNR >= {self.sqnr_db:g} dB")
        if self.confident_agreement is not None:
            parts.append(f"top-1 agreement where the margin is >= {CONFIDENT_MARGIN} >= {self.confident_agreement:.1%}")
        if self.accuracy_drop is not None:
            parts.append(f"accuracy drop <= {100 * self.accuracy_drop:g} point")
        if self.ece_rise is not None:
            parts.append(f"calibration error at most {100 * self.ece_rise:g} point higher")
        return ", ".join(parts)

    def with_score(self) -> str:
        """The bounds in words, for a file that gives an unknown score."""
        bound = self.score_difference
        of_score = f"SNR >= {self.score_snr_db:g} dB" if bound is None else f"difference <= {bound:g}"
        return f"{self}, unknown score: {of_score}"

    def misses(self, measured: Agreement) -> list[str]:
        """What of `measured` is not within bounds, and by how much. Only what compares true is within."""
        misses = []
        if self.max_abs_difference is not None and not measured.max_abs_difference <= self.max_abs_difference:
            misses.append(f"max abs difference {measured.max_abs_difference:.2g} > {self.max_abs_difference:g}")
        if self.top1_agreement is not None and not measured.top1_agreement >= self.top1_agreement:
            misses.append(f"top-1 agreement {measured.top1_agreement:.1%} < {self.top1_agreement:.1%}")
        if self.sqnr_db is not None and measured.sqnr_db is not None and not measured.sqnr_db >= self.sqnr_db:
            misses.append(f"SQNR {measured.sqnr_db:.1f} dB < {self.sqnr_db:g} dB")
        confident = measured.confident_agreement
        if self.confident_agreement is not None and confident is not None and not confident >= self.confident_agreement:
            misses.append(
                f"top-1 agreement {confident:.1%} < {self.confident_agreement:.1%} "
                f"on the {measured.confident_images} images with a margin >= {CONFIDENT_MARGIN}"
            )
        if self.accuracy_drop is not None and measured.top1 is not None and measured.reference_top1 is not None:
            drop = measured.reference_top1 - measured.top1
            # Both are shares of whole photos: a drop of exactly the bound differs from it by rounding alone.
            if not drop <= self.accuracy_drop + 1e-9:
                misses.append(f"accuracy drop {100 * drop:.2f} > {100 * self.accuracy_drop:g} point")
        if self.ece_rise is not None and measured.ece is not None and measured.reference_ece is not None:
            rise = measured.ece - measured.reference_ece
            # Of fewer photos it scatters by more than the bound.
            if measured.images >= ENOUGH_PHOTOS and not rise <= self.ece_rise:
                misses.append(f"calibration error {100 * rise:.2f} > {100 * self.ece_rise:g} point higher")
        return misses + self._score_misses(measured.unknown_score)

    def _score_misses(self, score: ScoreAgreement | None) -> list[str]:
        if score is None:
            return []
        difference, snr, misses = score.max_abs_difference, score.snr_db, []
        if self.score_difference is not None and not difference <= self.score_difference:
            misses.append(f"unknown score off by {difference:.2g} > {self.score_difference:g}")
        if self.score_snr_db is not None and snr is not None and not snr >= self.score_snr_db:
            misses.append(f"SNR of the unknown score {snr:.1f} dB < {self.score_snr_db:g} dB")
        return misses


_EXACT = Gate(max_abs_difference=1e-4, top1_agreement=1.0, score_difference=1e-3)
_HALF = Gate(max_abs_difference=2e-2, top1_agreement=0.995, score_difference=0.1)
_COARSE = Gate(sqnr_db=17, confident_agreement=0.98, accuracy_drop=0.01, ece_rise=0.01, score_snr_db=10)
_FLOOR = Gate(sqnr_db=10, confident_agreement=0.8, score_snr_db=5)
"""What a coarse file must reach on the golden samples, whatever photos it was judged on: they are few, so it is low."""

GATES: Mapping[str, Gate] = {
    "fp32": _EXACT,
    "fp16": _HALF,
    "int8": _COARSE,
    "int8-dynamic": _COARSE,
    "int8-weights": _COARSE,
    "palette6": _COARSE,
    "palette4": _COARSE,
}


def agreement(
    runner: Runner,
    images: Iterable[Image],
    reference: NDArray[np.float32],
    labels: Sequence[int] | None = None,
    *,
    top_k: bool = False,
    unknown_scores: NDArray[np.float64] | None = None,
) -> Agreement:
    """Compare a runner with the reference's probabilities [N, K] of the same N >= 1 images (uint8 [H, W, 3]).

    labels: true classes of the images, for the accuracy of both. Outputs with anything that is not finite count as off
    by 1 and as another class.
    top_k: the runner gives zeros outside of its largest; a class left out is off by what it has more than one given.
    unknown_scores: the reference's [N], where the runner gives them too.
    Raises ValueError when the outputs are not [K] or the images are not N, MeasurementError when the reference is not
    finite: nothing can be compared with it.
    """
    if not np.isfinite(reference).all():
        raise MeasurementError("the training network's probabilities are not finite: its training diverged")
    outputs, scores = [], []
    for image, expected in zip(images, reference, strict=True):
        probabilities, score = runner.answer(image)
        if probabilities.shape != expected.shape:
            raise ValueError(f"the file gives {probabilities.shape} probabilities, {expected.shape} are expected")
        outputs.append(probabilities)
        scores.append(np.nan if score is None else score)
    expected = _largest(reference, np.stack(outputs)) if top_k else reference
    finite = np.asarray(np.isfinite(np.stack(outputs)).all(axis=1))
    difference = np.where(finite[:, None], np.abs(np.stack(outputs).astype(np.float64) - expected), 1.0)
    top1, reference_top1 = np.where(finite, np.stack(outputs).argmax(axis=1), -1), reference.argmax(axis=1)
    same = top1 == reference_top1
    second, first = np.sort(reference, axis=1)[:, -2:].T
    confident = first - second >= CONFIDENT_MARGIN
    noise = np.square(difference).sum()
    ece = reference_ece = None
    if labels is not None:
        # What is not finite is as sure as can be, and wrong.
        first = np.where(finite, np.stack(outputs).max(axis=1), 1.0)
        reference_first, correct = first_and_correct(reference, np.array(labels))
        ece = calibration_error(first, top1 == np.array(labels), by=reference_first)
        reference_ece = calibration_error(reference_first, correct)
    return Agreement(
        images=len(outputs),
        max_abs_difference=float(difference.max()),
        top1_agreement=float(same.mean()),
        sqnr_db=float(10 * np.log10(np.square(reference.astype(np.float64)).sum() / noise)) if noise else None,
        confident_images=int(confident.sum()),
        confident_agreement=float(same[confident].mean()) if confident.any() else None,
        top1=None if labels is None else float((top1 == np.array(labels)).mean()),
        reference_top1=None if labels is None else float((reference_top1 == np.array(labels)).mean()),
        ece=ece,
        reference_ece=reference_ece,
        unknown_score=None if unknown_scores is None else _score_agreement(np.array(scores), unknown_scores),
    )


def _score_agreement(scores: NDArray[np.float64], reference: NDArray[np.float64]) -> ScoreAgreement:
    difference = np.where(np.isfinite(scores), np.abs(scores - reference), _NO_SCORE)
    noise = np.square(difference).mean()
    # One image, or one like the other, has no variance: then it is of the order of the scores themselves.
    power = reference.var() or np.square(reference).mean()
    return ScoreAgreement(
        max_abs_difference=float(difference.max()), snr_db=float(10 * np.log10(power / noise)) if noise else None
    )


def _largest(reference: NDArray[np.float32], outputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The reference where the outputs [N, K] have something, elsewhere by how much it exceeds the least of those."""
    given = outputs > 0
    least = np.where(given, reference, np.inf).min(axis=1, keepdims=True)
    return np.where(given, reference, np.maximum(reference - least, 0))


def judge(precision: str, golden: Agreement, photos: Agreement | None = None, *, runtime: str | None = None) -> Parity:
    """Apply the precision's gate to the golden samples and to the photos, where there are any.

    runtime: what ran the file, for the record.
    A coarse precision is judged on the larger set: eight golden samples are too few for shares and noise. They keep a
    floor of their own, which photos that say nothing cannot take away.
    """
    gate = GATES[precision]
    measured = {"golden samples": golden} | ({"photos": photos} if photos else {})
    if gate is _COARSE:
        name = "photos" if photos and photos.images >= golden.images else "golden samples"
        measured = {name: measured[name]}
    reasons = [f"{name}: {miss}" for name, values in measured.items() for miss in gate.misses(values)]
    if gate is _COARSE and "golden samples" not in measured:
        reasons += [f"golden samples: {miss}" for miss in _FLOOR.misses(golden)]
    few = max(values.images for values in measured.values())
    note = f"measured on {few} images only, {ENOUGH_PHOTOS} or more say enough: pass --data"
    return Parity(
        status="failed" if reasons else "passed",
        gate=gate.with_score() if golden.unknown_score else str(gate),
        reason="; ".join([*reasons, *([note] if gate is _COARSE and few < ENOUGH_PHOTOS else [])]) or None,
        runtime=runtime,
        golden=golden,
        photos=photos,
    )


def not_measured(precision: str, reason: str) -> Parity:
    """The record of a gate that was not applied, and why."""
    return Parity(status="not measured", gate=str(GATES[precision]), reason=reason)


def failed_too(parity: Parity, reason: str | None) -> Parity:
    """`parity`, failed for one more reason where there is one."""
    if reason is None:
        return parity
    return parity.model_copy(update={"status": "failed", "reason": "; ".join(filter(None, (reason, parity.reason)))})
