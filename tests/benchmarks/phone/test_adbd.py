"""The test adbd against the real adb client: what the other tests stand on."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.benchmarks.phone.adbd.daemon import Daemon
from tests.benchmarks.phone.adbd.phone import Faults, Phone
from tests.benchmarks.phone.adbd.server import connected


def adb_client(settings: dict[str, str], daemon: Daemon, *arguments: object) -> subprocess.CompletedProcess[str]:
    from adbutils import adb_path

    command = [adb_path(), "-s", daemon.serial, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=300, check=False)


# Without features the client falls back to sync and shell of version 1.
@pytest.mark.parametrize("features", ["shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,sendrecv_v2", ""])
def test_real_client_pushes_lists_and_pulls(adb, phone: Phone, tmp_path: Path, features: str):
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(700_000))
    with Daemon(phone, features=features) as daemon, connected(adb, daemon):
        assert adb_client(adb, daemon, "push", sent, "/data/local/tmp/file").returncode == 0
        assert adb_client(adb, daemon, "ls", "/data/local/tmp").stdout.split()[1::4] == [f"{700_000:08x}"]
        assert adb_client(adb, daemon, "pull", "/data/local/tmp/file", back).returncode == 0
        assert adb_client(adb, daemon, "exec-out", "ls", "/data").stdout == "/data\n"
    assert back.read_bytes() == sent.read_bytes()


def test_exit_codes_and_errors_come_through(adb, phone: Phone):
    with Daemon(phone) as daemon, connected(adb, daemon):
        gone = adb_client(adb, daemon, "shell", "ls /nothing")
        unknown = adb_client(adb, daemon, "shell", "curl example.org")
    assert (gone.returncode, gone.stdout, gone.stderr) == (1, "", "ls: /nothing: No such file or directory\n")
    assert unknown.returncode == 127


def test_full_disk_is_what_the_client_says(adb, tmp_path: Path):
    phone = Phone(tmp_path / "phone", faults=Faults(space=100_000))
    sent = tmp_path / "sent"
    sent.write_bytes(bytes(300_000))
    with Daemon(phone) as daemon, connected(adb, daemon):
        refused = adb_client(adb, daemon, "push", sent, "/data/local/tmp/file")
    assert refused.returncode == 1
    assert "No space left on device" in refused.stderr
    assert phone.left_behind == []


@pytest.mark.parametrize(
    "path", ["/../../escaped", "/data/local/tmp/../../../../escaped", "/data/local/tmp/link/escaped", "/etc/escaped"]
)
def test_nothing_is_written_outside_of_its_folder(adb, phone: Phone, tmp_path: Path, path: str):
    phone.path("/data/local/tmp").joinpath("link").symlink_to(tmp_path)
    sent = tmp_path / "sent"
    sent.write_text("x")
    with Daemon(phone) as daemon, connected(adb, daemon):
        assert adb_client(adb, daemon, "push", sent, path).returncode != 0
    assert list(tmp_path.rglob("escaped")) == []
