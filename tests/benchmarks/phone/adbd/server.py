"""A real adb server of its own, to which test daemons are connected."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.phone.adbd.daemon import Daemon

_SECONDS = 120
"""Long enough for a busy machine: it is waited for what comes, not for so long."""


@contextmanager
def adb_server(home: Path) -> Iterator[dict[str, str]]:
    """Run an adb server on a free port, its keys in `home`; yields the environment in which clients find it."""
    from adbutils import adb_path

    home.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ANDROID_USER_HOME": str(home),
        "HOME": str(home),
        # No search for emulators, no announcements in the network.
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5554",
        "ADB_MDNS_OPENSCREEN": "0",
        "ADB_MDNS_AUTO_CONNECT": "0",
    }
    with (home / "server.log").open("wb") as output:
        server = subprocess.Popen(
            [adb_path(), "-L", f"tcp:localhost:{port}", "server", "nodaemon"],
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _is_open(port))
        yield settings
    finally:
        server.terminate()
        server.wait(timeout=_SECONDS)


@contextmanager
def connected(settings: dict[str, str], daemon: Daemon, *, state: str = "device") -> Iterator[None]:
    """Have the server connect to the daemon and see it in this state; it forgets the daemon at the end."""
    from adbutils import AdbClient

    client = AdbClient(port=int(settings["ANDROID_ADB_SERVER_PORT"]))
    with client.make_connection(timeout=_SECONDS) as connection:
        # The answer comes when the device is ready, which one that never is keeps back.
        connection.send_command(f"host:connect:{daemon.serial}")
        wait_until(lambda: any(info.serial == daemon.serial and info.state == state for info in client.list()))
        try:
            yield
        finally:
            client.disconnect(daemon.serial)


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError where it does not come true within _SECONDS."""
    limit = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError("the adb server does not do what the test waits for")
        time.sleep(0.02)
