"""Choosing a phone, and what is asked of it."""

import contextlib
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from adbutils import AdbClient

from pmsi_bench.phone import thermal
from pmsi_bench.phone.adb import DeviceLost, TransferFailed, choose_phone
from pmsi_bench.phone.cores import Cluster, core_mask
from pmsi_bench.phone.folder import FOLDER, fixed_performance, own_folder, screen_kept_on
from pmsi_bench.phone.record import read_record
from pmsi_bench.phone.thermal import Cooling, read_thermal
from pmsi_mobile.errors import PmsiError
from tests.benchmarks.phone.adbd.phone import Faults, Phone
from tests.benchmarks.phone.adbd.server import wait_until
from tests.benchmarks.phone.workbench import plugged_in


def test_the_only_phone_needs_no_serial_number(adb, phone: Phone):
    with plugged_in(adb, phone) as daemon:
        chosen = choose_phone(None)
        assert chosen.serial == daemon.serial
        assert chosen.shell("ls /nothing 2>&1").code == 1


def test_several_phones_are_listed(adb, tmp_path: Path):
    with ExitStack() as stack:
        serials = [stack.enter_context(plugged_in(adb, Phone(tmp_path / name))).serial for name in ("one", "other")]
        with pytest.raises(PmsiError, match="2 devices are connected, choose one with --device adb:SERIAL") as error:
            choose_phone(None)
        assert all(f"{serial} (device)" in str(error.value) for serial in serials)
        assert choose_phone(serials[1]).serial == serials[1]
        with pytest.raises(PmsiError, match="device ABC is not connected: adb sees "):
            choose_phone("ABC")


@pytest.mark.parametrize(
    ("state", "settings", "words"),
    [
        ("unauthorized", {"authorised": False}, "has not allowed this computer: unlock it and accept"),
        ("offline", {"answer": False}, "is offline: unplug it and plug it in again"),
    ],
)
def test_phone_that_is_not_ready(adb, phone: Phone, state: str, settings: dict, words: str):
    with plugged_in(adb, phone, state=state, **settings), pytest.raises(PmsiError, match=words):
        choose_phone(None)


def test_no_phone_and_no_adb(adb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", adb["ANDROID_ADB_SERVER_PORT"])
    with pytest.raises(PmsiError, match="no device is connected: plug the phone in and allow USB debugging"):
        choose_phone(None)
    # Nothing listens there.
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    for adb_program in (tmp_path / "nothing", Path("/bin/false")):
        monkeypatch.setenv("ADBUTILS_ADB_PATH", str(adb_program))
        with pytest.raises(PmsiError, match=r"no adb server can be reached or started .* platform-tools") as error:
            choose_phone(None)
        assert "\n" not in str(error.value)


def test_files_go_there_and_back(adb, phone: Phone):
    content = bytes(range(256)) * 1000
    with plugged_in(adb, phone):
        chosen = choose_phone(None)
        chosen.push(content, "/data/local/tmp/a file", executable=True)
        assert chosen.read("/data/local/tmp/a file") == content
        with pytest.raises(TransferFailed, match="No such file or directory"):
            chosen.read("/data/local/tmp/none")
        with pytest.raises(TransferFailed, match="couldn't create file: Permission denied"):
            chosen.push(b"", "/system/file")
    assert phone.path("/data/local/tmp/a file").stat().st_mode & 0o777 == 0o755


def test_phone_that_went_between_two_commands(adb, phone: Phone):
    with plugged_in(adb, phone) as daemon:
        chosen = choose_phone(None)
        daemon.unplug()
        wait_until(lambda: all(info.state != "device" for info in AdbClient().list()))
        with pytest.raises(DeviceLost, match=r"was disconnected while running getprop \(device .*\): reconnect it"):
            chosen.shell("getprop")


def test_record(adb, phone: Phone):
    with plugged_in(adb, phone):
        record = read_record(choose_phone(None), "little")
    assert (record.name, record.soc, record.android, record.sdk) == (
        "Pretended Pixel Test", "Pretended PT1000", "14", 34,
    )  # fmt: skip
    assert record.abis == ("arm64-v8a",)
    assert (record.battery_percent, record.battery_celsius) == (83, 27.1)
    assert record.clusters[1] == Cluster(cores=(4, 5, 6, 7), max_mhz=2850, governor="schedutil")
    assert record.affinity == "f"


THREE = [
    Cluster(cores=(0, 1, 2, 3), max_mhz=1800, governor=None),
    Cluster(cores=(4, 5, 6), max_mhz=2400, governor=None),
    Cluster(cores=(7,), max_mhz=2850, governor=None),
]


@pytest.mark.parametrize(("cores", "mask"), [("big", 0xF0), ("little", 0x0F), ("80", 0x80), ("0xC0", 0xC0)])
def test_cores_become_a_mask(cores: str, mask: int):
    assert core_mask(cores, THREE) == mask


@pytest.mark.parametrize(
    ("cores", "clusters", "words"),
    [
        ("fast", THREE, "pass big, little, or a hexadecimal mask"),
        ("0", THREE, "pass big, little, or a hexadecimal mask"),
        ("100", THREE, "pass big, little, or a hexadecimal mask"),
        ("big", THREE[:1], "one kind of core, pass a mask such as f0"),
        ("little", [], "no frequencies of its cores, pass a mask"),
    ],
)
def test_cores_that_are_none(cores: str, clusters: list[Cluster], words: str):
    with pytest.raises(PmsiError, match=words):
        core_mask(cores, clusters)


def test_warm_phone_is_waited_for(adb, phone: Phone, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(thermal, "POLL_SECONDS", 0.01)
    phone.status = [2, 1, 0]
    said: list[str] = []
    with plugged_in(adb, phone):
        state = Cooling(choose_phone(None), said.append).wait()
    [line] = said
    assert line.endswith("thermal status 2")
    assert state.status == 0
    # The live readings, not the last event's, and no volts or per cent.
    assert state.temperatures == {"CPU0": 31.5, "skin": 28.25}


def test_phone_that_stays_warm_is_not_waited_for_without_end(adb, phone: Phone, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    # A clock that only waiting moves on.
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(thermal, "time", clock)
    phone.status = [3]
    said: list[str] = []
    with plugged_in(adb, phone):
        cooling = Cooling(choose_phone(None), said.append, seconds=4 * thermal.POLL_SECONDS)
        states = [cooling.wait() for _ in range(3)]
    assert [state.status for state in states] == [3, 3, 3]
    # All waits share the time.
    assert len(said) == 1
    assert slept == [thermal.POLL_SECONDS] * 4


def test_hot_processor_counts_though_the_skin_is_cool(adb, phone: Phone):
    phone.cpu_status = 3
    with plugged_in(adb, phone):
        assert read_thermal(choose_phone(None)).status == 3


def test_screen_is_on_meanwhile(adb, phone: Phone):
    phone.settings["stay_on_while_plugged_in"] = "2"
    with plugged_in(adb, phone):
        chosen = choose_phone(None)
        assert read_record(chosen, None).awake is False
        with screen_kept_on(chosen, print):
            assert read_record(chosen, None).awake
            assert phone.settings["stay_on_while_plugged_in"] == "7"
    assert phone.settings["stay_on_while_plugged_in"] == "2"


def test_phone_without_a_thermal_service(adb, tmp_path: Path):
    with plugged_in(adb, Phone(tmp_path / "phone", sdk=28)):
        state = read_thermal(choose_phone(None))
    assert (state.status, state.temperatures, state.throttled) == (None, {}, False)


def test_serial_numbers_may_have_spaces(monkeypatch: pytest.MonkeyPatch):
    wireless = "adb-XXXX-YYYY (2)._adb-tls-connect._tcp"
    connection = mock.MagicMock()
    connection.__enter__().read_string_block.return_value = (
        f"{wireless}\tunauthorized\nABC\tno permissions (user in plugdev group)\n"
    )
    monkeypatch.setattr(AdbClient, "make_connection", lambda client, timeout: connection)
    for serial, words in ((wireless, "has not allowed this computer"), ("ABC", "may not be opened by this user")):
        with pytest.raises(PmsiError, match=words):
            choose_phone(serial)


def test_folder_and_clocks_are_put_back_whatever_happens(adb, phone: Phone):
    left_over = phone.path(FOLDER)
    left_over.mkdir()
    (left_over / "model.tflite").touch()
    with plugged_in(adb, phone):
        chosen = choose_phone(None)
        with (
            contextlib.suppress(ZeroDivisionError),
            own_folder(chosen, print),
            fixed_performance(chosen, print) as able,
        ):
            assert able
            assert phone.fixed_performance
            assert list(left_over.iterdir()) == []
            raise ZeroDivisionError
    assert phone.left_behind == []
    assert not phone.fixed_performance


def test_what_stays_on_a_phone_that_is_gone_is_said(adb, tmp_path: Path):
    phone = Phone(tmp_path / "phone", faults=Faults(drop=("ls", 1)))
    said: list[str] = []
    with plugged_in(adb, phone):
        chosen = choose_phone(None)
        with pytest.raises(DeviceLost, match="was disconnected while running ls"), own_folder(chosen, said.append):
            chosen.shell("ls /data")
    assert [line.split(":")[0] for line in said] == [f"{FOLDER} may still be on 127.0.0.1"]
