"""Which phone it was, and how it was set."""

import re

from pydantic import BaseModel, ConfigDict

from pmsi_bench.phone.adb import Phone
from pmsi_bench.phone.cores import Cluster, core_mask, read_clusters

_PROPERTY = re.compile(r"^\[(.+?)\]: \[(.*)\]\r?$", re.MULTILINE)
_LEVEL = re.compile(r"^\s*level: (\d+)", re.MULTILINE)
_WAKEFULNESS = re.compile(r"^\s*mWakefulness=(\w+)", re.MULTILINE)
_TENTHS = re.compile(r"^\s*temperature: (-?\d+)", re.MULTILINE)


class DeviceRecord(BaseModel):
    """The phone of a result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    serial: str
    manufacturer: str
    model: str
    soc: str | None
    android: str
    sdk: int
    abis: tuple[str, ...]
    """What it runs, the preferred one first."""
    fingerprint: str | None
    clusters: list[Cluster]
    """Slowest first."""
    battery_percent: int | None
    battery_celsius: float | None
    awake: bool | None
    """Whether its screen was on; null where it does not say."""
    battery_saver: bool
    affinity: str | None
    """Hexadecimal mask of the cores that the benchmark was kept on; null for no such limit."""

    @property
    def name(self) -> str:
        """For a heading."""
        return f"{self.manufacturer} {self.model}"


def read_record(phone: Phone, cores: str | None) -> DeviceRecord:
    """Ask the phone who it is. cores: of `--cores`. Raises PmsiError where they do not fit its clusters."""
    properties = dict(_PROPERTY.findall(phone.shell("getprop").output))
    battery = phone.shell("dumpsys battery").output
    level, tenths = _LEVEL.search(battery), _TENTHS.search(battery)
    wakefulness = _WAKEFULNESS.search(phone.shell("dumpsys power").output)
    clusters = read_clusters(phone)
    return DeviceRecord(
        serial=phone.serial,
        manufacturer=properties.get("ro.product.manufacturer", "unknown"),
        model=properties.get("ro.product.model", "unknown"),
        soc=_soc(properties),
        android=properties.get("ro.build.version.release", "unknown"),
        sdk=int(properties.get("ro.build.version.sdk", 0)),
        abis=tuple((properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")).split(",")),
        fingerprint=properties.get("ro.build.fingerprint"),
        clusters=clusters,
        battery_percent=int(level[1]) if level else None,
        battery_celsius=int(tenths[1]) / 10 if tenths else None,
        awake=wakefulness[1] == "Awake" if wakefulness else None,
        battery_saver=phone.shell("settings get global low_power").output.strip() == "1",
        affinity=f"{core_mask(cores, clusters):x}" if cores else None,
    )


def _soc(properties: dict[str, str]) -> str | None:
    # The first two since Android 12.
    known = [properties[key] for key in ("ro.soc.manufacturer", "ro.soc.model") if properties.get(key)]
    return " ".join(known) or properties.get("ro.board.platform") or properties.get("ro.hardware")
