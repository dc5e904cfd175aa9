"""How commands say what is known of a network's confidence."""

from collections.abc import Mapping

from pmsi_mobile.confidence.promises import ERROR, RIGHT
from pmsi_mobile.confidence.record import Confidence

_NAMES = {"mix": "", "concat": " (concat alone)"}


def confidence_lines(heads: Mapping[str, Confidence]) -> list[str]:
    """A sentence on the temperatures and one for each share of right answers that is asked for."""
    if not heads:
        return ["not calibrated: too few validation photos; pmsi-calibrate does it with photos of yours"]
    shipped = heads["mix"]
    temperatures = [f"{confidence.temperature:.2f}{_NAMES[head]}" for head, confidence in heads.items()]
    return [
        f"calibrated on {shipped.photos} photos: temperature {', '.join(temperatures)}",
        *filter(None, [shipped.too_few]),
        *(f"answers {100 * right:g} % right: {_promise(shipped, right)}" for right in RIGHT),
        f"(with {100 * (1 - ERROR):g} % confidence, for photos from where those came from)",
        f"none of the classes: {_unknown(shipped)}",
    ]


def _unknown(confidence: Confidence) -> str:
    found = confidence.unknown
    if found is None:
        return "no threshold, the mean of several softmaxes has no logits"
    return f"above an unknown score of {found.threshold:.2f}, which keeps {found.kept:.0%} of photos of the classes"


def _promise(confidence: Confidence, right: float) -> str:
    found = next((answers for answers in confidence.answers if answers.right == right), None)
    if found is None:
        return "too few photos to promise that"
    return f"from a first probability of {found.threshold:.3f} on, which {found.coverage:.0%} of the photos have"
