"""A headless Chromium, driven by its DevTools protocol over a pipe."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 120.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SILENT = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
)


def find_chromium() -> str | None:
    """Path of Chromium or Chrome on this host; None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def browser_version() -> str:
    """As it says of itself, `Chromium 150.0.1`."""
    program = find_chromium()
    assert program is not None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    return " ".join(said.split()[:2]) or "Chromium"


class Page:
    """One page of a browser; `events` are all that came so far, the oldest first."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._buffer, self._number = write, read, b"", 0
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> Any:
        """One command and its result. Raises RuntimeError for the protocol's error, TimeoutError for no answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._next(deadline - time.monotonic())
            if answer is None:
                raise TimeoutError(f"no answer to {method}")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, which may be a promise. Raises RuntimeError for what it throws."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if details := result.get("exceptionDetails"):
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> Any:
        """Its value, once that is true. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not (value := self._try(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {expression}\n{self.evaluate('document.body.innerText')}")
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def _try(self, expression: str) -> Any:
        try:
            return self.evaluate(expression)
        except RuntimeError:  # The page is being replaced.
            return None

    def _send(self, message: bytes) -> None:
        # A pipe takes a part of what is larger than it.
        while message:
            message = message[os.write(self._write, message) :]

    def _next(self, seconds: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0, seconds))[0]:
                return None
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def open_browser(program: str, folder: Path, *arguments: str, kind: type[Page] = Page) -> Iterator[Callable[[], Page]]:
    """A browser with its data in `folder`; what is yielded opens a page of this kind."""
    commands, answers = os.pipe(), os.pipe()
    command = [program, *_SILENT, "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    # Chromium refuses its sandbox to root.
    command += ["--no-sandbox"] * (os.geteuid() == 0)
    # The pipe is that of the descriptors 3 and 4.
    shell = f'exec "$@" 3<&{commands[0]} 4>&{answers[1]}'
    browser = subprocess.Popen(
        ["bash", "-c", shell, "chromium", *command, *arguments],
        pass_fds=(commands[0], answers[1]),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands[0])
    os.close(answers[1])
    try:
        yield lambda: kind(commands[1], answers[0])
    finally:
        os.close(commands[1])
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        os.close(answers[0])
