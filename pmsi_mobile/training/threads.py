"""How many threads compute on a machine that does other work."""

import os
import time
from pathlib import Path

import torch

_STAT = Path("/proc/stat")
_SECONDS = 1.0


def use_idle_cores() -> str | None:
    """Where OMP_NUM_THREADS does not say how many threads there are: no more than cores are idle now, one at least;
    returns a note where that changes something. Nothing but on Linux.

    Threads wait for each other many thousand times per batch. Where one has to wait for its core first, all do.
    """
    if "OMP_NUM_THREADS" in os.environ or not _STAT.exists():
        return None
    before = _STAT.read_text()
    time.sleep(_SECONDS)
    cores = os.sched_getaffinity(0)
    idle, threads = max(1, round(idle_cores(before, _STAT.read_text(), cores))), torch.get_num_threads()
    if idle >= threads:
        return None
    torch.set_num_threads(idle)
    return (
        f"other work keeps this machine busy: {idle} of {threads} threads train (OMP_NUM_THREADS=N sets another number)"
    )


def idle_cores(before: str, after: str, cores: set[int]) -> float:
    """How many of `cores` had nothing to do between two readings of /proc/stat."""
    first, second = (_ticks(text, cores) for text in (before, after))
    return sum(
        (second[core][0] - first[core][0]) / max(1, second[core][1] - first[core][1])
        for core in cores
        if core in second
    )


def _ticks(text: str, cores: set[int]) -> dict[int, tuple[int, int]]:
    """Of each core: ticks that it was idle or waited for a disk, and all."""
    fields = [line.split() for line in text.splitlines() if line.startswith("cpu") and line[3].isdigit()]
    ticks = {int(name[3:]): [int(value) for value in values[:8]] for name, *values in fields}
    return {core: (values[3] + values[4], sum(values)) for core, values in ticks.items() if core in cores}
