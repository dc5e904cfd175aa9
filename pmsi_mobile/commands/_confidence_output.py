"""How commands say what is known of a network's confidence."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from pmsi_mobile.confidence.measures import Calibration
from pmsi_mobile.confidence.promises import ERROR, RIGHT, Kept
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
        *(f"answers {100 * right:g} % right: {_promise(shipped, right)}" for right in RIGHT),
        f"(with {100 * (1 - ERROR):g} % confidence, for photos from where those came from)",
    ]


def _promise(confidence: Confidence, right: float) -> str:
    found = next((answers for answers in confidence.answers if answers.right == right), None)
    if found is None:
        return "too few photos to promise that"
    return f"from a first probability of {found.threshold:.3f} on, which {found.coverage:.0%} of the photos have"


def confidence_table(figures: Mapping[str, Mapping[str, Calibration]], temperatures: Mapping[str, float]) -> Table:
    """What the probabilities of each prediction are worth, before and after its temperature."""
    table = Table(title="probabilities")
    for column in ("prediction", "temperature", "NLL", "Brier", "ECE", "95 % interval", "AURC"):
        table.add_column(column, justify="left" if column == "prediction" else "right")
    for name, kinds in figures.items():
        for kind, each in kinds.items():
            table.add_row(
                name,
                f"{temperatures[name] if kind == 'calibrated' else 1:.2f}",
                *(f"{value:.3f}" for value in (each.nll, each.brier, each.ece)),
                f"{each.ece_low:.3f} .. {each.ece_high:.3f}",
                f"{each.aurc:.3f}",
            )
    return table


def promise_lines(promises: Sequence[Kept]) -> list[str]:
    """What became of each promise on the photos that were evaluated."""
    return [
        f"promised {100 * each.promise.right:g} % right from {each.promise.threshold:.3f} on: "
        + ("no photo is answered" if each.right is None else f"{each.right:.1%} of {each.answered:.0%} of the photos")
        for each in promises
    ] or ["no promise of right answers: pmsi-calibrate makes those that its photos support"]
