"""Which file to ship to this phone, and on which delegate, in a sentence."""

from pmsi_bench.results.choice import Candidate, lead, ranked
from pmsi_bench.results.phone_result import DeviceResult, DeviceRow


def candidates(result: DeviceResult) -> list[Candidate]:
    """The rows whose outputs on the phone passed the gate; their accuracy is the export's."""
    return [
        Candidate(row.title, row.figures.typical_ms, [burst.typical_ms for burst in row.rounds], row.export_top1)
        for row in result.rows
        if row.figures and row.parity.status == "passed"
    ]


def choice(result: DeviceResult) -> DeviceRow | None:
    """The row to take, or None where none passed."""
    best = next(iter(ranked(candidates(result))), None)
    return next((row for row in result.rows if best and row.title == best.name), None)


def verdict(result: DeviceResult) -> str:
    """The choice, and whether its lead can be told from noise."""
    row = choice(result)
    if row is None or row.figures is None:
        return "No file that was measured on this phone has passed the parity gate there."
    first, *others = ranked(candidates(result))
    place = f"has the smallest {row.figures.typical_is} of the {1 + len(others)}" if others else "is the only one"
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    sentence = (
        f"{row.title} {place} that passed parity on the phone: {row.figures.typical_is} {first.latency_ms:.2f} ms "
        f"on {result.device.name} with {threads}{', throttled' if row.throttled else ''}."
    )
    return f"{sentence} {lead(first, others[0])}" if others else sentence
