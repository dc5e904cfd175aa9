"""Which row of a phone's result to take, in a sentence that does not claim more than the intervals allow."""

from pmsi_bench.device.results import DeviceFigures, DeviceResult, DeviceRow
from pmsi_bench.statistics import ratio
from pmsi_bench.verdict import ACCURACY_LOSS


def choice(result: DeviceResult) -> DeviceRow | None:
    """The fastest row whose outputs on the phone passed the gate and that, where all accuracies are known, is at most
    a point less accurate than the best of them."""
    ranked = _ranked(result)
    return ranked[0][0] if ranked else None


def pareto_front(result: DeviceResult) -> list[DeviceRow]:
    """Rows that passed on the phone and that no other one beats in both accuracy and latency, the fastest first."""
    front: list[DeviceRow] = []
    for row, _ in _passed(result):
        if row.export_top1 is not None and (not front or row.export_top1 > (front[-1].export_top1 or 0)):
            front.append(row)
    return front


def verdict(result: DeviceResult) -> str:
    """The choice, and whether its lead can be told from noise."""
    ranked = _ranked(result)
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
    lead = ratio([mine.typical_ms for mine, _ in pairs], [other.typical_ms for _, other in pairs])
    if lead.low is None or lead.high is None:
        return f"Fewer than six rounds: no interval can be given for its lead over {second.title}."
    interval = f"95 % interval {lead.low:.2f} to {lead.high:.2f}"
    if lead.low > 1:
        return f"Next is {second.title}, which takes {lead.median:.2f} times as long ({interval})."
    return f"{second.title} cannot be told from it: {lead.median:.2f} times as long, {interval}."


def _ranked(result: DeviceResult) -> list[tuple[DeviceRow, DeviceFigures]]:
    passed = _passed(result)
    known = {row.title: row.export_top1 for row, _ in passed if row.export_top1 is not None}
    if len(known) < len(passed):
        return passed
    least = max(known.values(), default=0) - ACCURACY_LOSS - 1e-9
    return [(row, figures) for row, figures in passed if known[row.title] >= least]


def _passed(result: DeviceResult) -> list[tuple[DeviceRow, DeviceFigures]]:
    """The fastest first."""
    passed = [(row, row.figures) for row in result.rows if row.figures and row.parity.status == "passed"]
    return sorted(passed, key=lambda pair: pair[1].typical_ms)
