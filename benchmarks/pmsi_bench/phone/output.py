"""What TensorFlow Lite's `benchmark_model` prints, as a record.

Grammar: tensorflow/lite/tools/benchmark/benchmark_model.cc and benchmark_tflite_model.cc, and the statistics of
stats_calculator.h, from the first builds (no percentiles, `no stats:`) to those of LiteRT (`p5= median= p95=`, `INFO:`
in front of every line). Times are microseconds, memory is in MiB, both as printed.
"""

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STATISTICS = re.compile(r"(?<!\): )\b(?:curr=\S+ )?count=\d+.*")
"""Of a phase, or of `Timings (microseconds): count=..` in an operator profile, which is left out."""
_PAIR = re.compile(rf"\b(\w+)=({_NUMBER})")
_PERCENTILE = re.compile(r"p(\d+)$")
_TIMINGS = re.compile(r"nference timings in us: (.*)")
_TIMING = re.compile(rf"([\w ()]+): ({_NUMBER})")
_REPLACED = re.compile(
    r"Replacing (\d+)(?: out of (\d+))? node\(s\) with delegate \(([^)]*)\) node, yielding (\d+) partitions"
)
_APPLIED = re.compile(r"pplied (\S+) delegate, and the model graph will be (completely|partially)")
_NOT_APPLIED = re.compile(r"Though (\S+) delegate is (?:explicitly )?applied, the model graph will not be")
_GPU_API = re.compile(r"Initialized (\w+)-based API")
_FOOTPRINT = re.compile(rf"emory footprint (?:delta .*)?\(MB\): init=({_NUMBER}) overall=({_NUMBER})")
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: ({_NUMBER})")
_RSS = re.compile(rf"- VmRSS\s*: ({_NUMBER}) MB")
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: (.*)")
_ERROR = re.compile(
    r"^(?!.*WARN).*?(?:(?:ERROR|FATAL): (.*)|((?:Failed to|Can't|Could not) .*|\w+: .*\bnot supported\b.*))"
)
_END = "Benchmarking failed"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Statistics(_Record):
    """One `count=` line. Every time is null for no runs; `percentiles` is empty in builds that print none."""

    count: int
    first_us: float | None = None
    last_us: float | None = None
    min_us: float | None = None
    max_us: float | None = None
    mean_us: float | None = None
    """Six digits, as printed."""
    stdev_us: float | None = None
    median_us: float | None = None
    percentiles: dict[int, float] = {}
    """5 -> the value that 5 % of the runs stay below."""


class Delegation(_Record):
    """How many nodes of the graph a delegate took, in how many pieces the graph was cut."""

    delegate: str
    nodes: int
    of: int | None
    """Null in builds that do not print it."""
    partitions: int


class ToolOutput(_Record):
    """All that one run of `benchmark_model` says; null or empty where it does not say it."""

    warm_up: Statistics | None
    runs: Statistics | None
    init_us: float | None
    first_inference_us: float | None
    mean_us: float | None
    """Of the runs."""
    delegations: list[Delegation]
    delegated: dict[str, str]
    """Delegates that were asked for -> `completely`, `partially` or `not`: how far they execute the graph."""
    gpu_api: str | None
    """`OpenCL` or `OpenGL`, where the GPU delegate is used."""
    init_memory_mb: float | None
    """Growth of the footprint from the tool's start to the end of loading."""
    overall_memory_mb: float | None
    """The same to the end of the runs."""
    peak_memory_mb: float | None
    rss_mb: float | None
    unknown_flags: list[str]
    errors: list[str]
    """What it says went wrong, in order, without `Benchmarking failed.`"""

    @property
    def complete(self) -> bool:
        """Whether the runs were made and their mean is known."""
        return self.runs is not None and self.runs.count > 0 and self.mean_us is not None


def parse_output(text: str) -> ToolOutput:
    """Read the output of one run, stdout and stderr together, whole or cut off anywhere.

    A last line without its end is left out: its numbers may lack digits.
    """
    lines = text[: text.rfind("\n") + 1].splitlines()
    warm_up, runs, *_ = [*_statistics(lines), None, None]
    timings = {
        name.strip(): float(value) for found in _all(_TIMINGS, lines) for name, value in _TIMING.findall(found[1])
    }
    footprint, peak, rss, api = (_first(pattern, lines) for pattern in (_FOOTPRINT, _PEAK, _RSS, _GPU_API))
    return ToolOutput(
        warm_up=warm_up,
        runs=runs,
        init_us=timings.get("Init"),
        first_inference_us=timings.get("First inference", warm_up.first_us if warm_up else None),
        mean_us=runs.mean_us if runs and runs.mean_us is not None else _printed_mean(timings),
        delegations=[
            Delegation(delegate=delegate, nodes=int(nodes), of=int(of) if of else None, partitions=int(partitions))
            for nodes, of, delegate, partitions in (found.groups() for found in _all(_REPLACED, lines))
        ],
        delegated={found[1]: found[2] for found in _all(_APPLIED, lines)}
        | {found[1]: "not" for found in _all(_NOT_APPLIED, lines)},
        gpu_api=api[1] if api else None,
        init_memory_mb=float(footprint[1]) if footprint else None,
        overall_memory_mb=float(footprint[2]) if footprint else None,
        peak_memory_mb=float(peak[1]) if peak else None,
        rss_mb=float(rss[1]) if rss else None,
        unknown_flags=[flag for found in _all(_UNKNOWN_FLAGS, lines) for flag in found[1].split()],
        errors=[(found[1] or found[2]).strip() for found in _all(_ERROR, lines) if _END not in found[0]],
    )


def _statistics(lines: Iterable[str]) -> Iterator[Statistics]:
    """The phases in order: the warm-up, then the runs."""
    for found in _all(_STATISTICS, lines):
        values = {key: float(value) for key, value in _PAIR.findall(found[0])}
        count = int(values["count"])
        if not count:
            yield Statistics(count=0)
            continue
        # Equal runs are printed as `count=3 curr=12(all same)`.
        only = values.get("curr")
        yield Statistics(
            count=count,
            first_us=values.get("first", only),
            last_us=only,
            min_us=values.get("min", only),
            max_us=values.get("max", only),
            mean_us=values.get("avg", only),
            stdev_us=values.get("std", 0.0),
            median_us=values.get("median", values.get("p50", None if "avg" in values else only)),
            percentiles={int(key[1:]): value for key, value in values.items() if _PERCENTILE.match(key)},
        )


def _printed_mean(timings: dict[str, float]) -> float | None:
    known = [timings[name] for name in ("Inference (avg)", "Inference", "no stats") if name in timings]
    return known[0] if known else None


def _all(pattern: re.Pattern[str], lines: Iterable[str]) -> Iterator[re.Match[str]]:
    return (found for line in lines if (found := pattern.search(line)))


def _first(pattern: re.Pattern[str], lines: Iterable[str]) -> re.Match[str] | None:
    return next(_all(pattern, lines), None)
