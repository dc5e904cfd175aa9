"""Two results of the same files, before and after a change: what became slower or faster, as far as the intervals tell.

A machine is not equally fast on two days. Where both results have the same file as baseline, the other files are
compared by their ratios to it, which that does not touch; how long the baseline took then tells of the machine.
"""

from dataclasses import dataclass
from typing import Literal

from pmsi_bench.results import BenchResult, Figures, FileResult
from pmsi_bench.statistics import Ratio, shift


@dataclass(frozen=True)
class Change:
    """One file in both results. factor: how many times as long the new one takes; low and high its 95 % interval.

    accuracy: difference of top-1 in points, None where one is not known.
    """

    name: str
    factor: Ratio
    verdict: Literal["slower", "faster", "no difference", "too few rounds"]
    accuracy: float | None


@dataclass(frozen=True)
class Comparison:
    """machine: how many times as long the baseline took, the same file in both; None where it is not, and the files
    are compared by their latencies. only_old, only_new: names that one result lacks, or has no figures for. warnings:
    what makes the two unlike."""

    changes: list[Change]
    machine: Ratio | None
    only_old: list[str]
    only_new: list[str]
    warnings: list[str]


def compare(old: BenchResult, new: BenchResult) -> Comparison:
    """Compare file by file, by name."""
    before, after = ({file.name: file for file in result.files if file.figures} for result in (old, new))
    steady = _same_baseline(old, new)
    machine = None
    if steady and new.baseline is not None:
        machine = shift(*(_figures(files[new.baseline]).round_medians_ms for files in (before, after)))
    return Comparison(
        changes=[
            _change(before[name], after[name], old, new, steady)
            for name in after
            if name in before and not (steady and name == new.baseline)
        ],
        machine=machine,
        only_old=[name for name in before if name not in after],
        only_new=[name for name in after if name not in before],
        warnings=_warnings(old, new, steady),
    )


def _change(before: FileResult, after: FileResult, old: BenchResult, new: BenchResult, steady: bool) -> Change:
    factor = shift(*(_rounds(file, result if steady else None) for file, result in ((before, old), (after, new))))
    accuracy = None
    if before.accuracy and after.accuracy:
        accuracy = 100 * (after.accuracy.top1 - before.accuracy.top1)
    return Change(after.name, factor, _verdict(factor), accuracy)


def _rounds(file: FileResult, result: BenchResult | None) -> list[float]:
    """Median latency of each round; with a result, over that of its baseline in the same round."""
    mine = _figures(file).round_medians_ms
    if result is None:
        return mine
    baseline = _figures(next(other for other in result.files if other.name == result.baseline)).round_medians_ms
    return [one / other for one, other in zip(mine, baseline, strict=True)]


def _figures(file: FileResult) -> Figures:
    assert file.figures
    return file.figures


def _verdict(factor: Ratio) -> Literal["slower", "faster", "no difference", "too few rounds"]:
    if factor.low is None or factor.high is None:
        return "too few rounds"
    if factor.low > 1:
        return "slower"
    return "faster" if factor.high < 1 else "no difference"


def _same_baseline(old: BenchResult, new: BenchResult) -> bool:
    """Whether both refer to the same content on as many threads."""
    found = [next((file for file in result.files if file.name == result.baseline), None) for result in (old, new)]
    keys = [(file.content_sha256, file.threads) if file else None for file in found]
    return keys[0] is not None and keys[0] == keys[1] and old.baseline == new.baseline


def _warnings(old: BenchResult, new: BenchResult, steady: bool) -> list[str]:
    lines = []
    if old.machine.cpu != new.machine.cpu:
        lines.append(f"another processor: {old.machine.cpu} before, {new.machine.cpu} now")
    changed = [
        f"{name} {version} -> {new.machine.versions[name]}"
        for name, version in old.machine.versions.items()
        if new.machine.versions.get(name, version) != version
    ]
    if changed:
        lines.append(f"other versions: {', '.join(changed)}")
    if not steady:
        lines.append(
            "the baselines are not the same file: latencies are compared, and with them how fast the machine was"
        )
    return lines
