"""Which file to take on this host, in a sentence for each network."""

from collections.abc import Sequence

from pmsi_bench.results.choice import Candidate, lead, ranked
from pmsi_bench.results.host_result import BenchResult, FileResult
from pmsi_bench.results.network import sentences


def candidates(result: BenchResult, network: int) -> list[Candidate]:
    """The files of a network that were measured and passed the export's gate."""
    return [
        Candidate(
            file.name,
            file.figures.latency.median_ms,
            file.figures.round_medians_ms,
            file.accuracy.top1 if file.accuracy else None,
        )
        for file in result.files
        if file.figures and file.parity == "passed" and file.network == network
    ]


def choices(result: BenchResult) -> list[FileResult]:
    """The file to take of each network, without those of which none passed."""
    files = {file.name: file for file in result.files}
    best = [ranked(candidates(result, network))[:1] for network in range(len(result.networks))]
    return [files[candidate.name] for found in best for candidate in found]


def verdict(result: BenchResult) -> list[str]:
    """The choice of each network, and whether its lead can be told from noise."""
    return sentences(result.networks, lambda network: _sentence(result, candidates(result, network)))


def _sentence(result: BenchResult, passed: Sequence[Candidate]) -> str:
    if not passed:
        return "No file that was measured here has passed its parity gate."
    first, *others = ranked(passed)
    file = next(file for file in result.files if file.name == first.name)
    threads = "1 thread" if file.threads == 1 else f"{file.threads} threads"
    median = f"median {first.latency_ms:.2f} ms on this host with {threads}"
    names = {candidate.name for candidate in passed}
    # A file on several numbers of threads is several rows.
    kind = "files" if len({row.path for row in result.files if row.name in names}) == len(names) else "rows"
    place = f"has the smallest median of the {1 + len(others)} {kind}" if others else "is the only file measured"
    sentence = f"{file.name} ({file.runtime}, {file.precision}) {place} that passed parity"
    if file.accuracy and all(candidate.top1 is not None for candidate in passed):
        loss = 100 * (max(candidate.top1 or 0 for candidate in passed) - file.accuracy.top1)
        below = f"{max(loss, 0.1):.1f} points below the best" if loss > 0 else "no file has more"
        right = f"{file.accuracy.top1:.1%} right of {file.accuracy.photos} photos, {below}"
        sentence += f" and {'lose' if others else 'loses'} at most a point of accuracy: {median}; {right}."
    else:
        unknown = [candidate.name for candidate in passed if candidate.top1 is None]
        why = f" Accuracy is not looked at, {unknown[0]} has none." if len(unknown) < len(passed) else ""
        sentence += f": {median}.{why}"
    return f"{sentence} {lead(first, others[0])}" if others else sentence
