"""Which file to take, in a sentence that does not claim more than the intervals allow."""

from pmsi_bench.results import BenchResult, Figures, FileResult
from pmsi_bench.statistics import ratio


def fastest(result: BenchResult) -> FileResult | None:
    """The file with the smallest median latency among those that passed their parity gate."""
    ranked = _ranked(result)
    return ranked[0][0] if ranked else None


def verdict(result: BenchResult) -> str:
    """One or two sentences: the fastest file that passed parity, and whether its lead can be told from noise."""
    ranked = _ranked(result)
    if not ranked:
        return "No file that was measured here has passed its parity gate."
    (first, figures), *others = ranked
    file = f"{first.name} ({first.runtime}, {first.precision})"
    place = f"the fastest of the {len(ranked)} files" if others else "the only file measured"
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    sentence = (
        f"{file} is {place} that passed parity: median {figures.latency.median_ms:.2f} ms on this host with {threads}."
    )
    return f"{sentence} {_lead(figures, *others[0])}" if others else sentence


def _lead(first: Figures, second_file: FileResult, second: Figures) -> str:
    lead = ratio(second.round_medians_ms, first.round_medians_ms)
    if lead.low is None or lead.high is None:
        return f"Fewer than six rounds: no interval can be given for its lead over {second_file.name}."
    interval = f"95 % interval {lead.low:.2f} to {lead.high:.2f}"
    if lead.low > 1:
        return f"Next is {second_file.name}, which takes {lead.median:.2f} times as long ({interval})."
    return f"{second_file.name} cannot be told from it: {lead.median:.2f} times as long, {interval}."


def _ranked(result: BenchResult) -> list[tuple[FileResult, Figures]]:
    passed = [(file, file.figures) for file in result.files if file.figures and file.parity == "passed"]
    return sorted(passed, key=lambda pair: pair[1].latency.median_ms)
