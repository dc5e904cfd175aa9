"""Two results of the same files, before and after a change: what became slower or faster, as far as the intervals tell.

A machine is not equally fast on two days. Where both results have the same file as baseline, run by the same versions,
the other files are compared by their ratios to it, which that does not touch; how long the baseline took then tells of
the machine.
"""

from dataclasses import dataclass
from typing import Literal

from pmsi_bench.results.host_result import BenchResult, Figures, FileResult
from pmsi_bench.statistics import CONFIDENCE, Ratio, shift

SMALLEST = 0.02
"""A change of a smaller part is called none."""


@dataclass(frozen=True)
class Change:
    """One file in both results. factor: how many times as long the new one takes; its interval is so wide that all
    intervals of a comparison hold together with 95 % confidence (Bonferroni).

    accuracy: difference of top-1 in points on the same photos, None where it is not known.
    """

    name: str
    factor: Ratio
    verdict: Literal["slower", "faster", "no difference", "too few rounds"]
    accuracy: float | None


@dataclass(frozen=True)
class Comparison:
    """machine: how many times as long the baseline took, the same file in both; None where it is not, and the files
    are compared by their latencies. failed: of files that have no figures any more, why. only_old, only_new: names
    that one result lacks. warnings: what makes the two unlike."""

    changes: list[Change]
    machine: Ratio | None
    failed: dict[str, str]
    only_old: list[str]
    only_new: list[str]
    warnings: list[str]


def compare(old: BenchResult, new: BenchResult) -> Comparison:
    """Compare file by file, by name. PyTorch's references are opened once in a run, not in every round, and their
    intervals do not hold between two: they are left out."""
    before, after = (
        {file.name: file for file in result.files if file.figures and file.parity != "reference"}
        for result in (old, new)
    )
    both = [name for name in after if name in before]
    warnings = _warnings(old, new)
    steady = _same_baseline(old, new) and not _new_versions(old, new) and both != [new.baseline]
    machine = None
    if steady:
        machine = shift(_baseline(old).round_medians_ms, _baseline(new).round_medians_ms)
    else:
        warnings.append("latencies are compared, and with them how fast the machine was")
    compared = [name for name in both if not (steady and name == new.baseline)]
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(compared))
    results, known = {file.name: file for file in new.files}, {file.name for file in old.files}
    return Comparison(
        changes=[_change(before[name], after[name], old, new, steady, confidence) for name in compared],
        machine=machine,
        failed={name: results[name].reason or "no figures" for name in before if name in results and name not in after},
        only_old=[name for name in before if name not in results],
        only_new=[name for name in after if name not in known],
        warnings=warnings,
    )


def _change(
    before: FileResult, after: FileResult, old: BenchResult, new: BenchResult, steady: bool, confidence: float
) -> Change:
    rounds = [_rounds(file, result if steady else None) for file, result in ((before, old), (after, new))]
    factor = shift(rounds[0], rounds[1], confidence)
    accuracy = None
    if before.accuracy and after.accuracy and _photos(old, before) == _photos(new, after):
        accuracy = 100 * (after.accuracy.top1 - before.accuracy.top1)
    return Change(after.name, factor, _verdict(factor), accuracy)


def _photos(result: BenchResult, file: FileResult) -> tuple[str | None, int | None]:
    return result.photos, file.accuracy.photos if file.accuracy else None


def _rounds(file: FileResult, result: BenchResult | None) -> list[float]:
    """Median latency of each round; with a result, over that of its baseline in the same round."""
    mine = _figures(file).round_medians_ms
    if result is None:
        return mine
    return [one / other for one, other in zip(mine, _baseline(result).round_medians_ms, strict=True)]


def _baseline(result: BenchResult) -> Figures:
    return _figures(next(file for file in result.files if file.name == result.baseline))


def _figures(file: FileResult) -> Figures:
    assert file.figures
    return file.figures


def _verdict(factor: Ratio) -> Literal["slower", "faster", "no difference", "too few rounds"]:
    if factor.low is None or factor.high is None:
        return "too few rounds"
    if factor.low > 1 and factor.median > 1 + SMALLEST:
        return "slower"
    return "faster" if factor.high < 1 and factor.median < 1 - SMALLEST else "no difference"


def _same_baseline(old: BenchResult, new: BenchResult) -> bool:
    """Whether both refer to the same content on as many threads."""
    found = [next((file for file in result.files if file.name == result.baseline), None) for result in (old, new)]
    keys = [(file.content_sha256, file.threads) if file else None for file in found]
    return keys[0] is not None and keys[0] == keys[1] and old.baseline == new.baseline


def _new_versions(old: BenchResult, new: BenchResult) -> list[str]:
    return [
        f"{name} {version} -> {new.machine.versions[name]}"
        for name, version in old.machine.versions.items()
        if new.machine.versions.get(name, version) != version
    ]


def _warnings(old: BenchResult, new: BenchResult) -> list[str]:
    lines = []
    if old.machine.cpu != new.machine.cpu:
        lines.append(f"another processor: {old.machine.cpu} before, {new.machine.cpu} now")
    if changed := _new_versions(old, new):
        lines.append(f"other versions: {', '.join(changed)}")
    threads = {file.name: file.threads for file in old.files}
    others = [file for file in new.files if threads.get(file.name, file.threads) != file.threads]
    if others:
        lines.append(
            f"other threads: {others[0].name} ran on {threads[others[0].name]} before, {others[0].threads} now"
        )
    elif not _same_baseline(old, new):
        lines.append("the baselines are not the same file")
    return lines
