"""Which of several rows to take, without claiming more than the intervals allow."""

from collections.abc import Sequence
from dataclasses import dataclass

from pmsi_bench.statistics import ratio

ACCURACY_LOSS = 0.01
"""A row this far below the most accurate one is not taken for its speed."""


@dataclass(frozen=True)
class Candidate:
    """A row that passed its parity gate. rounds_ms: one latency per round. top1: in 0..1, None where not known."""

    name: str
    latency_ms: float
    rounds_ms: Sequence[float]
    top1: float | None


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The fastest first; where the accuracy of all is known, without those more than a point below the best."""
    by_latency = sorted(candidates, key=lambda candidate: candidate.latency_ms)
    known = [candidate.top1 for candidate in candidates if candidate.top1 is not None]
    if len(known) < len(candidates) or not known:
        return by_latency
    least = max(known) - ACCURACY_LOSS - 1e-9
    return [candidate for candidate in by_latency if candidate.top1 is not None and candidate.top1 >= least]


def pareto_front(candidates: Sequence[Candidate]) -> list[str]:
    """Names of those that no other one beats in both accuracy and latency, the fastest first."""
    front: list[str] = []
    best = -1.0
    for candidate in sorted(candidates, key=lambda candidate: candidate.latency_ms):
        if candidate.top1 is not None and candidate.top1 > best:
            front.append(candidate.name)
            best = candidate.top1
    return front


def lead(first: Candidate, second: Candidate) -> str:
    """Whether the first can be told from the second; a phone that was lost has fewer rounds of one of them."""
    pairs = list(zip(second.rounds_ms, first.rounds_ms, strict=False))
    longer = ratio([mine for mine, _ in pairs], [other for _, other in pairs])
    if longer.low is None or longer.high is None:
        return f"Fewer than six rounds: no interval can be given for its lead over {second.name}."
    interval = f"95 % interval {longer.low:.2f} to {longer.high:.2f}"
    if longer.high < 1:
        return f"Round by round {second.name} is faster: {longer.median:.2f} times as long, {interval}."
    if longer.low > 1:
        return f"Next is {second.name}, which takes {longer.median:.2f} times as long ({interval})."
    return f"{second.name} cannot be told from it: {longer.median:.2f} times as long, {interval}."
