"""Ctrl-C and SIGTERM during training: a step is done whole before the run stops, so that it can be saved."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from pmsi_mobile.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, both signals raise Interrupted: at once, or at the end of a `held` block they came in.

    A second signal raises at once everywhere. With `saving=False`, for a process that has nothing to save, the first
    one is passed over: it goes on until the process that saves has done so and the launcher ends it.
    """

    def __init__(self, saving: bool = True) -> None:
        self._saving = saving
        self._held = False
        self._received = 0

    def __enter__(self) -> "Interruption":
        # Python allows handlers in the main thread alone. What a launcher has told to ignore a signal (nohup) does.
        in_main = threading.current_thread() is threading.main_thread()
        heard = [number for number in SIGNALS if in_main and signal.getsignal(number) != signal.SIG_IGN]
        self._owner = os.getpid()
        self._previous = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        # Loader processes that the same signal ended fail the step that waits for them.
        if isinstance(error, RuntimeError) and self._received:
            raise Interrupted(self._received) from error

    @contextmanager
    def held(self) -> Iterator[None]:
        """Finish this block before a signal stops the run."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._received and self._saving:
            raise Interrupted(self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            return  # A loader process that is just being forked.
        first = not self._received
        self._received = number
        if not first or (self._saving and not self._held):
            raise Interrupted(number)
