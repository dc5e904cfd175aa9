"""The sync service, versions 1 and 2: STAT, LIST, SEND, RECV, QUIT."""

import errno
import struct
from pathlib import Path

from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.adbd.transport import Stream

_CHUNK = 64 * 1024
_STAT = struct.Struct("<4sIQQIIIIQqqq")


def serve_sync(stream: Stream, phone: Phone) -> None:
    while True:
        request, length = _take(stream, "<4sI")
        path = stream.read(length).decode()
        name = request.decode()
        if name == "QUIT":
            return
        if name in ("SEND", "SND2"):
            done = _receive(stream, phone, name, path)
        elif name in ("RECV", "RCV2"):
            done = _send(stream, phone, name, path)
        else:
            done = _describe(stream, phone, name, path)
        if not done:
            return


def _describe(stream: Stream, phone: Phone, name: str, path: str) -> bool:
    file = phone.path(path)
    if name == "STAT":
        mode, size, time = _attributes(file)
        stream.write(struct.pack("<4sIII", b"STAT", mode, size, time))
    elif name in ("STA2", "LST2"):
        stream.write(_stat_2(name, file))
    elif name in ("LIST", "LIS2"):
        version_2 = name == "LIS2"
        for child in sorted(file.iterdir()) if file.is_dir() else []:
            text = child.name.encode()
            entry = _stat_2("DNT2", child) if version_2 else struct.pack("<4sIII", b"DENT", *_attributes(child))
            stream.write(entry + struct.pack("<I", len(text)) + text)
        stream.write(b"DONE" + bytes(_STAT.size if version_2 else 16))
    else:
        _fail(stream, f"unknown command {name}")
        return False
    return True


def _receive(stream: Stream, phone: Phone, name: str, path: str) -> bool:
    if name == "SND2":
        _, mode, flags = _take(stream, "<4sII")
        assert not flags, "no compression was offered"
    else:
        path, _, text = path.rpartition(",")
        mode = int(text)
    phone.step("push", path)
    problem, data = phone.refusal(path), b""
    while True:
        request, size = _take(stream, "<4sI")
        if request == b"DONE":
            break
        data += stream.read(size)
        phone.step("push data", path)
        phone.wait_for_link(size)
        problem = problem or phone.lack_of_space(path, len(data))
    if problem:
        _fail(stream, problem)
        return False
    file = phone.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    file.chmod(mode & 0o777)
    stream.write(struct.pack("<4sI", b"OKAY", 0))
    return True


def _send(stream: Stream, phone: Phone, name: str, path: str) -> bool:
    if name == "RCV2":
        _take(stream, "<4sI")
    phone.step("pull", path)
    file = phone.path(path)
    if not file.is_file():
        _fail(stream, "open failed: No such file or directory")
        return False
    data = file.read_bytes()
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        phone.wait_for_link(len(part))
        stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
    stream.write(struct.pack("<4sI", b"DONE", 0))
    return True


def _fail(stream: Stream, reason: str) -> None:
    text = reason.encode()
    stream.write(struct.pack("<4sI", b"FAIL", len(text)) + text)


def _take(stream: Stream, layout: str) -> tuple:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _attributes(file: Path) -> tuple[int, int, int]:
    if not file.exists():
        return 0, 0, 0
    status = file.stat()
    return status.st_mode, status.st_size, int(status.st_mtime)


def _stat_2(name: str, file: Path) -> bytes:
    mode, size, time = _attributes(file)
    problem = 0 if mode else errno.ENOENT
    return _STAT.pack(name.encode(), problem, 0, 0, mode, 1, 2000, 2000, size, time, time, time)
