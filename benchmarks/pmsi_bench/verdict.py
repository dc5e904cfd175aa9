"""Which file to take, in sentences that do not claim more than the intervals allow."""

from collections.abc import Sequence

from pmsi_bench.results import BenchResult, Figures, FileResult
from pmsi_bench.statistics import ratio

ACCURACY_LOSS = 0.01
"""A file this far below the most accurate one is not taken for its speed."""


def choice(result: BenchResult) -> FileResult | None:
    """The file to take: the smallest median latency among those that passed their parity gate and, where the accuracy
    of all is known, are at most a point less accurate than the best of them."""
    ranked = _ranked(result)
    return ranked[0][0] if ranked else None


def pareto_front(result: BenchResult) -> list[FileResult]:
    """Files that passed parity and that no other one beats in both accuracy and latency, the fastest first."""
    front: list[FileResult] = []
    for file, _ in _passed(result):
        if file.accuracy and (not front or file.accuracy.top1 > _top1(front[-1])):
            front.append(file)
    return front


def verdict(result: BenchResult) -> str:
    """The choice, and whether its lead can be told from noise."""
    ranked = _ranked(result)
    if not ranked:
        return "No file that was measured here has passed its parity gate."
    (first, figures), *others = ranked
    file = f"{first.name} ({first.runtime}, {first.precision})"
    threads = "1 thread" if first.threads == 1 else f"{first.threads} threads"
    median = f"median {figures.latency.median_ms:.2f} ms on this host with {threads}"
    if first.accuracy:
        best = max(_top1(other) for other, _ in _passed(result) if other.accuracy)
        loss = 100 * (best - first.accuracy.top1)
        below = f"{loss:.1f} points below the best" if loss > 0.05 else "no file has more"
        place = f"the fastest of the {len(ranked)} files" if others else "the only file"
        sentence = (
            f"{file} is {place} that passed parity and {'lose' if others else 'loses'} at most a point of accuracy: "
            f"{median}; {first.accuracy.top1:.1%} right of {first.accuracy.photos} photos, {below}."
        )
    else:
        place = f"the fastest of the {len(ranked)} files" if others else "the only file measured"
        sentence = f"{file} is {place} that passed parity: {median}."
    return f"{sentence} {_lead(figures, *others[0])}" if others else sentence


def _lead(first: Figures, second_file: FileResult, second: Figures) -> str:
    lead = ratio(second.round_medians_ms, first.round_medians_ms)
    if lead.low is None or lead.high is None:
        return f"Fewer than six rounds: no interval can be given for its lead over {second_file.name}."
    interval = f"95 % interval {lead.low:.2f} to {lead.high:.2f}"
    if lead.low > 1:
        return f"Next is {second_file.name}, which takes {lead.median:.2f} times as long ({interval})."
    return f"{second_file.name} cannot be told from it: {lead.median:.2f} times as long, {interval}."


def _ranked(result: BenchResult) -> Sequence[tuple[FileResult, Figures]]:
    passed = _passed(result)
    known = {file.name: file.accuracy.top1 for file, _ in passed if file.accuracy}
    if len(known) < len(passed):
        return passed
    least = max(known.values(), default=0) - ACCURACY_LOSS - 1e-9
    return [(file, figures) for file, figures in passed if known[file.name] >= least]


def _passed(result: BenchResult) -> list[tuple[FileResult, Figures]]:
    """The fastest first."""
    passed = [(file, file.figures) for file in result.files if file.figures and file.parity == "passed"]
    return sorted(passed, key=lambda pair: pair[1].latency.median_ms)


def _top1(file: FileResult) -> float:
    assert file.accuracy
    return file.accuracy.top1
