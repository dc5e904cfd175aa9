"""A phone's CPU clusters, and which of them a benchmark runs on."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from pmsi_bench.phone.adb import Phone
from pmsi_mobile.errors import PmsiError

_CPUFREQ = "/sys/devices/system/cpu/cpu*/cpufreq"
_LINE = re.compile(r"/cpu(\d+)/cpufreq/(\w+):(\S+)")


class Cluster(BaseModel):
    """Cores of equal maximum frequency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cores: tuple[int, ...]
    max_mhz: int
    governor: str | None


def read_clusters(phone: Phone) -> list[Cluster]:
    """The clusters, slowest first; none where the phone hides its frequencies."""
    text = phone.shell(f"grep -H . {_CPUFREQ}/cpuinfo_max_freq {_CPUFREQ}/scaling_governor").output
    found = {(int(core), key): value for core, key, value in _LINE.findall(text)}
    frequencies = {core: int(value) // 1000 for (core, key), value in found.items() if key == "cpuinfo_max_freq"}
    return [
        Cluster(cores=cores, max_mhz=mhz, governor=found.get((cores[0], "scaling_governor")))
        for mhz in sorted(set(frequencies.values()))
        for cores in [tuple(sorted(core for core, own in frequencies.items() if own == mhz))]
    ]


def core_mask(wanted: str, clusters: Sequence[Cluster]) -> int:
    """The affinity mask of `--cores`: `big` all but the slowest cluster, `little` the slowest, or a mask such as f0.

    Raises PmsiError for another word, a mask of no core, and for big or little on a phone with one kind of core.
    """
    if wanted in ("big", "little"):
        if len(clusters) < 2:
            kinds = "one kind of core" if clusters else "no frequencies of its cores"
            raise PmsiError(f"--cores {wanted}: the phone shows {kinds}, pass a mask such as f0")
        chosen = clusters[1:] if wanted == "big" else clusters[:1]
        return sum(1 << core for cluster in chosen for core in cluster.cores)
    try:
        mask = int(wanted, 16)
    except ValueError:
        mask = 0
    known = {core for cluster in clusters for core in cluster.cores}
    if mask <= 0 or (known and not any(mask >> core & 1 for core in known)):
        raise PmsiError(f"--cores {wanted}: pass big, little, or a hexadecimal mask with one bit for each core")
    return mask
