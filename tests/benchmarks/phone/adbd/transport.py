"""Packets and streams of the adb protocol, the device's end: CNXN, AUTH, OPEN, WRTE, OKAY, CLSE."""

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_HEADER = struct.Struct("<6I")
_VERSION = 0x01000001
"""From this one on checksums are not computed."""
_MAX_DATA = 256 * 1024
_AUTH_TOKEN, _AUTH_PUBLIC_KEY = 1, 3


class Dropped(Exception):
    """The connection is gone."""


def _code(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


@dataclass
class Stream:
    """One opened service. The host's bytes come in, ours go out a packet at a time, each waiting for its OKAY."""

    link: "Link"
    local: int
    remote: int
    incoming: "queue.Queue[bytes | None]" = field(default_factory=queue.Queue)
    ready: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(1))
    closed: bool = False
    _rest: bytes = b""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; raises Dropped where the host closes before."""
        while len(self._rest) < size:
            packet = self.incoming.get()
            if packet is None:
                raise Dropped
            self._rest += packet
            self.link.send("OKAY", self.local, self.remote)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), _MAX_DATA):
            self.ready.acquire()
            if self.closed:
                raise Dropped
            self.link.send("WRTE", self.local, self.remote, data[start : start + _MAX_DATA])

    def close(self) -> None:
        """By the host or by us: whoever waits is woken."""
        self.closed = True
        self.ready.release()
        self.incoming.put(None)


class Link:
    """One TCP connection of an adb server, until it ends."""

    def __init__(self, connection: socket.socket, banner: str, serve: Callable[[Stream, str], None]) -> None:
        self._connection = connection
        self._banner = banner
        self._serve = serve
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}

    def run(self, *, authorised: bool, answer: bool) -> None:
        """Obey the host. Not `authorised`: ask for keys and accept none. Not `answer`: stay silent."""
        with contextlib.suppress(OSError, Dropped):
            for command, first, second, data in self._packets():
                if not answer:
                    continue
                if not authorised:
                    # A signature by a key that nobody has allowed is answered like the first packet; the key itself
                    # is shown to the user, who does nothing.
                    if (command, first) != ("AUTH", _AUTH_PUBLIC_KEY):
                        self.send("AUTH", _AUTH_TOKEN, 0, bytes(20))
                elif command == "CNXN":
                    self.send("CNXN", _VERSION, _MAX_DATA, self._banner.encode())
                elif command == "OPEN":
                    self._open(first, data.rstrip(b"\0").decode())
                elif stream := self._streams.get(second):
                    self._deliver(stream, command, data)
        for stream in self._streams.values():
            stream.close()

    def drop(self) -> None:
        """As if the cable were pulled."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def send(self, command: str, first: int, second: int, data: bytes = b"") -> None:
        code = _code(command)
        packet = _HEADER.pack(code, first, second, len(data), 0, code ^ 0xFFFFFFFF) + data
        try:
            with self._sending:
                self._connection.sendall(packet)
        except OSError:
            raise Dropped from None

    def _deliver(self, stream: Stream, command: str, data: bytes) -> None:
        if command == "WRTE":
            stream.incoming.put(data)
        elif command == "OKAY":
            stream.ready.release()
        elif command == "CLSE":
            stream.close()

    def _open(self, remote: int, service: str) -> None:
        stream = Stream(self, local=len(self._streams) + 1, remote=remote)
        self._streams[stream.local] = stream
        self.send("OKAY", stream.local, remote)
        threading.Thread(target=self._run_service, args=(stream, service), daemon=True).start()

    def _run_service(self, stream: Stream, service: str) -> None:
        # OSError: a link that leads out of the phone's folder, or a program whose files were removed under it.
        with contextlib.suppress(Dropped, OSError):
            try:
                self._serve(stream, service)
                # The host must have taken the last packet before the stream may be closed.
                stream.ready.acquire()
            finally:
                if not stream.closed:
                    self.send("CLSE", stream.local, stream.remote)

    def _packets(self) -> Iterator[tuple[str, int, int, bytes]]:
        while True:
            code, first, second, size, _, _ = _HEADER.unpack(self._exactly(_HEADER.size))
            yield code.to_bytes(4, "little").decode("ascii"), first, second, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._connection.recv(size - len(data))
            if not part:
                raise Dropped
            data += part
        return data
