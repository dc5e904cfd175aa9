"""A network's outputs for photos that its training did not see -> what is known of its confidence."""

from collections.abc import Mapping

from torch import Tensor

from pmsi_mobile.confidence.measures import first_and_correct
from pmsi_mobile.confidence.promises import promises
from pmsi_mobile.confidence.record import Confidence
from pmsi_mobile.confidence.temperature import fit_temperature, photos_wanted
from pmsi_mobile.confidence.unknown import find_threshold, unknown_scores
from pmsi_mobile.network.mixing import mix

FEWEST = 20
"""Photos below which nothing is fitted. With these a temperature is better than 1; the unknown threshold wants 19."""


def calibrate(logits: Tensor, labels: Tensor, rule: str) -> Mapping[str, Confidence]:
    """Calibrate on photos that training did not see: logits [N, heads, K], labels [N].

    `mix` is the mixed heads, or a network's only head; `concat` the last of several alone (Eq. 7). Empty for fewer than
    FEWEST photos. rule: `model.mix`. The mean of several softmaxes (`probabilities`) keeps a temperature of 1: one on
    the heads would move the first class, and one on the mean would cost operators; what is promised holds for it too,
    but it has no logits that say whether a photo is of any class.
    """
    if len(labels) < FEWEST:
        return {}
    predictions = {"mix": logits, "concat": logits[:, -1:]} if logits.shape[1] > 1 else {"mix": logits}
    return {name: _calibrate(heads, labels, rule) for name, heads in predictions.items()}


def _calibrate(heads: Tensor, labels: Tensor, rule: str) -> Confidence:
    summed, true = heads.double().sum(dim=1).numpy(), labels.numpy()
    averaged = rule == "probabilities" and heads.shape[1] > 1
    temperature = 1.0 if averaged else fit_temperature(summed, true)
    probabilities = mix(heads.double(), rule, temperature).numpy()
    found = promises(*first_and_correct(probabilities, true))
    if averaged:
        return Confidence(photos=len(true), answers=found)
    wanted = photos_wanted(summed, temperature)
    return Confidence(
        temperature=temperature,
        photos=len(true),
        answers=found,
        unknown=find_threshold(unknown_scores(summed / temperature)),
        wanted=wanted if wanted > len(true) else None,
    )
