"""The daemon: listens on loopback and serves shell, exec and sync of one pretended phone."""

import contextlib
import socket
import struct
import threading

from tests.benchmarks.phone.adbd.phone import Phone
from tests.benchmarks.phone.adbd.shell import run_command
from tests.benchmarks.phone.adbd.sync import serve_sync
from tests.benchmarks.phone.adbd.transport import Dropped, Link, Stream

FEATURES = "shell_v2,cmd,stat_v2,ls_v2,fixed_push_mkdir,sendrecv_v2"
_STDOUT, _STDERR, _EXIT = 1, 2, 3


class Daemon:
    """adbd of `phone` on a free port. features: what it says it can do; an Android 6 says nothing."""

    def __init__(self, phone: Phone, *, features: str = FEATURES, authorised: bool = True, answer: bool = True) -> None:
        self._phone = phone
        self._features = features
        self._link_state = {"authorised": authorised, "answer": answer}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._links: list[Link] = []
        phone.unplug = self.unplug
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def unplug(self) -> None:
        """No connection is left, and no new one is taken."""
        self._phone.unplugged.set()
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.drop()

    def _accept(self) -> None:
        banner = (
            f"device::ro.product.name=pretended;ro.product.model={self._phone.model.replace(' ', '_')};"
            f"ro.product.device=pretended;features={self._features}"
        )
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = Link(connection, banner, self._serve)
                self._links.append(link)
                threading.Thread(target=link.run, kwargs=self._link_state, daemon=True).start()

    def _serve(self, stream: Stream, service: str) -> None:
        kind, _, command = service.partition(":")
        if kind == "sync":
            serve_sync(stream, self._phone)
        elif kind.startswith("shell,v2"):
            result = run_command(self._phone, command)
            for number, text in ((_STDOUT, result.output), (_STDERR, result.errors)):
                if text:
                    stream.write(struct.pack("<BI", number, len(text.encode())) + text.encode())
            stream.write(struct.pack("<BIB", _EXIT, 1, result.code))
        elif kind.split(",")[0] in ("shell", "exec"):
            stream.write(run_command(self._phone, command, one_stream=True).output.encode())
        else:
            raise Dropped
