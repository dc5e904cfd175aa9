"""On which machine a benchmark ran."""

import os
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pmsi_mobile.provenance import versions

_RUNTIMES = ("ai-edge-litert", "onnxruntime", "torch", "executorch", "coremltools", "numpy")


class Machine(BaseModel):
    """The host, and the versions of what ran there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: str
    cores: int
    """Logical cores."""
    memory_gib: float
    load_average: float
    """Over the minute before the benchmark began: how many processes wanted a core."""
    system: str
    architecture: str
    versions: dict[str, str]

    @property
    def busy(self) -> bool:
        """Whether other work had half of a core or more."""
        return self.load_average >= 0.5


def machine_record() -> Machine:
    """This machine, now. Linux and macOS."""
    return Machine(
        cpu=_cpu_name(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        load_average=round(os.getloadavg()[0], 2),
        system=platform.platform(),
        architecture=platform.machine(),
        versions=versions(*_RUNTIMES),
    )


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
