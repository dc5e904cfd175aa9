"""What a benchmark changes on a phone, and that it is undone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pmsi_bench.phone.adb import DeviceLost, Phone
from pmsi_mobile.errors import MeasurementError

FOLDER = "/data/local/tmp/pmsi-bench"
_STAY_ON = "stay_on_while_plugged_in"
_ON_EVERY_CABLE = 7
"""Mains, USB, wireless."""
_FIXED = "cmd power set-fixed-performance-mode-enabled"


@contextmanager
def own_folder(phone: Phone, say: Callable[[str], None]) -> Iterator[str]:
    """An empty folder on the phone, removed at the end whatever happens, with programs of it that still run.

    What an earlier run left behind when its phone was unplugged is removed first. Where the phone is gone at the end,
    `say` is told what stays. Raises MeasurementError where the folder cannot be made.
    """
    _remove(phone)
    made = phone.shell(f"mkdir -p {FOLDER}")
    if made.code:
        raise MeasurementError(f"{phone.serial} does not let adb make {FOLDER}: {made.output.strip()}")
    try:
        yield FOLDER
    finally:
        try:
            _remove(phone)
        except DeviceLost:
            say(f"{FOLDER} may still be on {phone.serial}: the next run removes it, or adb shell rm -rf {FOLDER}")


@contextmanager
def fixed_performance(phone: Phone, say: Callable[[str], None]) -> Iterator[bool]:
    """Clocks held where the phone can keep them, back to normal at the end; yields whether the phone can do it."""
    able = phone.shell(f"{_FIXED} true").code == 0
    try:
        yield able
    finally:
        if able:
            try:
                phone.shell(f"{_FIXED} false")
            except DeviceLost:
                say(f"{phone.serial} may still hold its clocks: adb shell {_FIXED} false, or restart it")


@contextmanager
def screen_kept_on(phone: Phone, say: Callable[[str], None]) -> Iterator[None]:
    """The screen on while the phone hangs on its cable, for many slow down behind a dark one; as it was at the end.

    Where the phone does not allow it, its record says so.
    """
    before = phone.shell(f"settings get global {_STAY_ON}").output.strip()
    phone.shell(f"settings put global {_STAY_ON} {_ON_EVERY_CABLE}")
    phone.shell("input keyevent KEYCODE_WAKEUP")
    try:
        yield
    finally:
        back = f"settings put global {_STAY_ON} {before if before.isdecimal() else 0}"
        try:
            phone.shell(back)
        except DeviceLost:
            say(f"{phone.serial} may keep its screen on: adb shell {back}")


def end_programs(phone: Phone) -> None:
    """End what still runs of the folder."""
    # The brackets keep the pattern from matching the shell that runs this line.
    phone.shell(f"pkill -f {FOLDER}/[b]enchmark_model")


def _remove(phone: Phone) -> None:
    end_programs(phone)
    phone.shell(f"rm -rf {FOLDER}")
