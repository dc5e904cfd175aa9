"""How warm a phone is, and waiting until it is cool."""

import re
import time
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict

from pmsi_bench.device.adb import Phone

COOL_SECONDS = 600.0
"""As long a phone is waited for."""
POLL_SECONDS = 5.0
_STATUS = re.compile(r"Thermal Status: (\d+)")
_CURRENT = "Current temperatures from HAL:"
_TEMPERATURE = re.compile(r"Temperature\{mValue=([-\d.]+), mType=-?\d+, mName=([^,]+),")


class Thermal(BaseModel):
    """`dumpsys thermalservice` at one moment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int | None
    """0 cool, 1 light throttling, up to 6; null where the phone does not say, as before Android 10."""
    temperatures: dict[str, float]
    """Sensor -> °C."""

    @property
    def throttled(self) -> bool:
        """Whether the phone slows itself down."""
        return bool(self.status)


def read_thermal(phone: Phone) -> Thermal:
    """The phone's thermal state now; the live temperatures where it gives them, not those of the last event."""
    text = phone.shell("dumpsys thermalservice").output
    status = _STATUS.search(text)
    before, heading, live = text.partition(_CURRENT)
    return Thermal(
        status=int(status[1]) if status else None,
        temperatures={name: float(value) for value, name in _TEMPERATURE.findall(live if heading else before)},
    )


def wait_until_cool(phone: Phone, say: Callable[[str], None]) -> Thermal:
    """Wait for thermal status 0, at most COOL_SECONDS; returns the last state, which may still be a warm one."""
    limit = time.monotonic() + COOL_SECONDS
    state = read_thermal(phone)
    while state.throttled and time.monotonic() < limit:
        say(f"waiting for {phone.serial} to cool down, thermal status {state.status}")
        time.sleep(POLL_SECONDS)
        state = read_thermal(phone)
    return state
