"""A phone over adb: choosing it, running commands on it, files to and from it.

Everything goes through adbutils and the adb server, which it starts where none runs.
"""

import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import SubprocessError
from typing import TYPE_CHECKING

from pmsi_mobile.errors import MeasurementError, PmsiError
from pmsi_mobile.extras import how_to_install

if TYPE_CHECKING:
    from adbutils import AdbClient, AdbConnection, AdbDevice

ANSWER_SECONDS = 30.0
"""For a command that does little, and for each chunk of a file."""
_CHUNK = 64 * 1024
# By the first word of what adb calls the state.
_NOT_READY = {
    "unauthorized": "has not allowed this computer: unlock it and accept the USB debugging dialog",
    "authorizing": "has not yet allowed this computer: unlock it and accept the USB debugging dialog",
    "offline": "is offline: unplug it and plug it in again, or run adb reconnect",
    "no": "may not be opened by this user: set up the udev rules of Android's platform-tools",
}


class DeviceLost(PmsiError):
    """The phone does not answer any more: nothing further can be measured on it."""

    exit_code = 1


class NoAnswer(DeviceLost):
    """The phone took longer than it may."""


class TransferFailed(MeasurementError):
    """The phone answers, but does not take, or does not have, a file."""


@dataclass(frozen=True)
class Answer:
    """Of a command: its exit code, and stdout and stderr together."""

    code: int
    output: str


@dataclass(frozen=True)
class Phone:
    """One connected phone. Every method raises DeviceLost when it is gone or silent."""

    serial: str
    device: "AdbDevice"
    shell_v2: bool
    """Whether its adbd sends exit codes, since Android 7; adbutils has the shell print them otherwise."""

    def shell(self, command: str, seconds: float | None = None) -> Answer:
        """Run a command in the phone's shell. Raises NoAnswer after `seconds`, or ANSWER_SECONDS, without a word."""
        with self._watched(f"running {command.split()[0].rpartition('/')[2]}"):
            result = self.device.shell2(command, timeout=seconds or ANSWER_SECONDS, v2=self.shell_v2)
        return Answer(result.returncode, result.output)

    def push(self, content: bytes, path: str, *, executable: bool = False) -> None:
        """Write a file on the phone. Raises TransferFailed with the phone's reason."""
        mode = stat.S_IFREG | (0o755 if executable else 0o644)
        with self._watched(f"writing {path}"), self._sync("SEND", f"{path},{mode}") as connection:
            for start in range(0, len(content), _CHUNK):
                part = content[start : start + _CHUNK]
                connection.conn.sendall(b"DATA" + struct.pack("<I", len(part)) + part)
            connection.conn.sendall(b"DONE" + bytes(4))
            status, size = struct.unpack("<4sI", connection.read_exact(8))
            if status != b"OKAY":
                raise self._refusal(path, connection.read_exact(size).decode(errors="replace"))

    def move(self, source: str, path: str) -> None:
        """Copy a file of the phone to `path` and remove it. Raises TransferFailed with the phone's reason."""
        moved = self.shell(f"cp {source} {path} && rm {source}")
        if moved.code:
            raise self._refusal(path, moved.output.strip())

    def read(self, path: str) -> bytes:
        """The content of a file on the phone. Raises TransferFailed where it cannot be read."""
        content = bytearray()
        with self._watched(f"reading {path}"), self._sync("RECV", path) as connection:
            while True:
                status, size = struct.unpack("<4sI", connection.read_exact(8))
                if status == b"DONE":
                    return bytes(content)
                part = connection.read_exact(size)
                if status != b"DATA":
                    raise TransferFailed(f"{path} of {self.serial} cannot be read: {part.decode(errors='replace')}")
                content += part

    def _refusal(self, path: str, reason: str) -> TransferFailed:
        return TransferFailed(f"{self.serial} does not take {path}: {reason}{_remedy(reason)}")

    @contextmanager
    def _sync(self, request: str, path: str) -> "Iterator[AdbConnection]":
        with self.device.open_transport(timeout=ANSWER_SECONDS) as connection:
            # Or each small packet waits 40 ms for the one before.
            connection.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.send_command("sync:")
            connection.check_okay()
            name = path.encode()
            connection.conn.sendall(request.encode() + struct.pack("<I", len(name)) + name)
            yield connection

    @contextmanager
    def _watched(self, doing: str) -> Iterator[None]:
        from adbutils import AdbError, AdbTimeout

        try:
            yield
        except (AdbTimeout, TimeoutError):
            raise NoAnswer(f"{self.serial} stopped answering while {doing}: reconnect it and try again") from None
        except (AdbError, OSError, EOFError) as error:
            said = f" ({error})" if isinstance(error, AdbError) else ""
            raise DeviceLost(
                f"{self.serial} was disconnected while {doing}{said}: reconnect it and try again"
            ) from None


def choose_phone(serial: str | None) -> Phone:
    """The phone with this serial number, or the only one that is connected.

    Raises PmsiError, one line, where there is no adb, no phone, more than one without a serial number, or one that is
    not ready.
    """
    try:
        from adbutils import AdbClient, AdbError
    except ImportError:
        raise PmsiError(f"--device adb needs adbutils: {how_to_install('adbutils')}") from None

    try:
        client = AdbClient()
        states = _states(client)
    except (AdbError, OSError, SubprocessError) as error:
        reason = " ".join(str(error).split())
        raise PmsiError(
            f"no adb server can be reached or started ({reason}): install Android's platform-tools, or set "
            "ADBUTILS_ADB_PATH to a working adb"
        ) from None
    chosen = _choose(states, serial)
    if states[chosen] != "device":
        problem = _NOT_READY.get(states[chosen], f"is in state {states[chosen]}: start Android on it")
        raise PmsiError(f"device {chosen} {problem}")
    device = client.device(chosen)
    try:
        return Phone(chosen, device, "shell_v2" in device.get_features().split(","))
    except (AdbError, OSError, ValueError):
        raise DeviceLost(f"{chosen} was disconnected just now: reconnect it and try again") from None


def _states(client: "AdbClient") -> dict[str, str]:
    """Serial number -> the first word of its state, for every device. Serial numbers of wireless debugging may have
    spaces, which adbutils' own list takes for the end of the serial number."""
    with client.make_connection(ANSWER_SECONDS) as connection:
        connection.send_command("host:devices")
        connection.check_okay()
        lines = connection.read_string_block().splitlines()
    listed = [line.partition("\t") for line in lines]
    return {serial: state.split()[0] for serial, _, state in listed if state.strip()}


def _choose(states: dict[str, str], serial: str | None) -> str:
    connected = ", ".join(f"{name} ({state})" for name, state in states.items())
    if serial:
        if serial not in states:
            raise PmsiError(f"device {serial} is not connected: adb sees {connected or 'none'}")
        return serial
    if not states:
        raise PmsiError("no device is connected: plug the phone in and allow USB debugging in its developer options")
    if len(states) > 1:
        raise PmsiError(f"{len(states)} devices are connected, choose one with --device adb:SERIAL: {connected}")
    return next(iter(states))


def _remedy(reason: str) -> str:
    if "No space" in reason:
        return ": free some space on it"
    if "ermission" in reason:
        return ": another program owns that folder, remove it with adb shell"
    return ""
