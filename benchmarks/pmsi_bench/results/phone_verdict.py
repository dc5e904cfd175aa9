"""Which file to ship to this phone, and on which delegate, in a sentence for each network."""

from collections.abc import Sequence

from pmsi_bench.results.choice import Candidate, lead, ranked
from pmsi_bench.results.network import sentences
from pmsi_bench.results.phone_result import DeviceResult, DeviceRow


def candidates(result: DeviceResult, network: int) -> list[Candidate]:
    """The rows of a network whose outputs on the phone passed the gate; their accuracy is the export's."""
    return [
        Candidate(row.title, row.figures.typical_ms, [burst.typical_ms for burst in row.rounds], row.export_top1)
        for row in result.rows
        if row.figures and row.parity.status == "passed" and row.network == network
    ]


def choices(result: DeviceResult) -> list[DeviceRow]:
    """The row to take of each network, without those of which none passed."""
    rows = {row.title: row for row in result.rows}
    best = [ranked(candidates(result, network))[:1] for network in range(len(result.networks))]
    return [rows[candidate.name] for found in best for candidate in found]


def verdict(result: DeviceResult) -> list[str]:
    """The choice of each network, and whether its lead can be told from noise."""
    return sentences(result.networks, lambda network: _sentence(result, candidates(result, network)))


def _sentence(result: DeviceResult, passed: Sequence[Candidate]) -> str:
    if not passed:
        return "No file that was measured on this phone has passed the parity gate there."
    first, *others = ranked(passed)
    row = next(row for row in result.rows if row.title == first.name)
    typical = row.figures.typical_is if row.figures else "median"
    place = f"has the smallest {typical} of the {1 + len(others)}" if others else "is the only one"
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    sentence = (
        f"{row.title} {place} that passed parity on the phone: {typical} {first.latency_ms:.2f} ms on "
        f"{result.device.name} with {threads} {result.clocks}{', throttled' if row.throttled else ''}."
    )
    return f"{sentence} {lead(first, others[0])}" if others else sentence
