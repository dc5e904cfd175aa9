"""How warm a phone is, and waiting until it is cool."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from pmsi_bench.phone.adb import Phone

COOL_SECONDS = 600.0
"""As long a phone is waited for, all waits of a run together."""
POLL_SECONDS = 5.0
_STATUS = re.compile(r"Thermal Status: (\d+)")
_CURRENT = "Current temperatures from HAL:"
_NO_SENSORS = "HAL Ready: false"
_READING = re.compile(r"Temperature\{mValue=([-\d.]+), mType=(-?\d+), mName=([^,]+), mStatus=(\d+)")
_PROCESSORS = {0, 1, 9}
"""Types of sensor: CPU, GPU and NPU."""
_NO_TEMPERATURES = {6, 7, 8}
"""Voltage, current and percentage of the battery, listed among the temperatures."""


class Thermal(BaseModel):
    """`dumpsys thermalservice` at one moment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int | None
    """0 cool, 1 light throttling, up to 6: the phone's, which follows its skin alone since Android 11, or a processor's
    if that is larger. Null where the phone does not say, as before Android 10 or without sensors."""
    temperatures: dict[str, float]
    """Sensor -> °C."""

    @property
    def throttled(self) -> bool:
        """Whether the phone slows itself down."""
        return bool(self.status)


@dataclass
class Cooling:
    """Waits until a phone is cool. seconds: left for that."""

    phone: Phone
    say: Callable[[str], None]
    seconds: float = field(default_factory=lambda: COOL_SECONDS)

    def wait(self) -> Thermal:
        """Wait for thermal status 0 as long as there is time left; returns the last state, which may be a warm one."""
        started, state = time.monotonic(), read_thermal(self.phone)
        if state.throttled and self.seconds > 0:
            self.say(f"waiting for {self.phone.serial} to cool down, thermal status {state.status}")
        while state.throttled and time.monotonic() - started < self.seconds:
            time.sleep(POLL_SECONDS)
            state = read_thermal(self.phone)
        self.seconds -= time.monotonic() - started
        return state


def read_thermal(phone: Phone) -> Thermal:
    """The phone's thermal state now; the live temperatures where it gives them, not those of the last event."""
    text = phone.shell("dumpsys thermalservice").output
    found = _STATUS.search(text)
    before, heading, live = text.partition(_CURRENT)
    readings = [
        (name, float(value), int(kind), int(status))
        for value, kind, name, status in _READING.findall(live if heading else before)
    ]
    processors = [status for _, _, kind, status in readings if kind in _PROCESSORS]
    return Thermal(
        status=max([int(found[1]), *processors]) if found and _NO_SENSORS not in text else None,
        temperatures={name: value for name, value, kind, _ in readings if kind not in _NO_TEMPERATURES},
    )
