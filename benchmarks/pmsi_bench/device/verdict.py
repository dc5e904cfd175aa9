"""Which file to ship to this phone, in a sentence that does not claim more than the intervals allow."""

from pmsi_bench.device.results import DeviceResult, DeviceRow
from pmsi_bench.statistics import ratio


def verdict(result: DeviceResult) -> str:
    """One or two sentences: the fastest row whose outputs on the phone passed, and whether its lead is one."""
    ranked = sorted(
        ((row, row.figures) for row in result.rows if row.figures and row.parity.status == "passed"),
        key=lambda pair: pair[1].typical_ms,
    )
    if not ranked:
        return "No file that was measured on this phone has passed the parity gate there."
    (first, figures), *others = ranked
    place = f"the fastest of the {len(ranked)}" if others else "the only one"
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    sentence = (
        f"{first.title} is {place} that passed parity on the phone: {figures.typical_is} {figures.typical_ms:.2f} ms "
        f"on {result.device.name} with {threads}{', throttled' if first.throttled else ''}."
    )
    return f"{sentence} {_lead(first, others[0][0])}" if others else sentence


def _lead(first: DeviceRow, second: DeviceRow) -> str:
    pairs = list(zip(second.rounds, first.rounds, strict=False))
    lead = ratio([other.typical_ms for other, _ in pairs], [own.typical_ms for _, own in pairs])
    if lead.low is None or lead.high is None:
        return f"Fewer than six rounds: no interval can be given for its lead over {second.title}."
    interval = f"95 % interval {lead.low:.2f} to {lead.high:.2f}"
    if lead.low > 1:
        return f"Next is {second.title}, which takes {lead.median:.2f} times as long ({interval})."
    return f"{second.title} cannot be told from it: {lead.median:.2f} times as long, {interval}."
