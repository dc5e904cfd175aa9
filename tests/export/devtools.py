"""A headless Chromium, driven by its DevTools protocol over a pipe."""

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.browser import CHROMIUM

PHONE = {"width": 412, "height": 860, "deviceScaleFactor": 1, "mobile": True}


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
        self.call("Emulation.setDeviceMetricsOverride", **PHONE)

    def call(self, method: str, **parameters: object) -> Any:
        """One command and its result. Raises RuntimeError for the protocol's error."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 120
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
        """Its value, once that is true."""
        deadline = time.monotonic() + seconds
        while not (value := self._try(expression)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds} s: {expression}\n{self.evaluate('document.body.innerText')}")
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def choose(self, selector: str, *files: Path) -> None:
        """Give files to a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def text(self, selector: str) -> str:
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [event["params"]["request"]["url"] for event in self._all("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """What is in the console as an error, and what nobody caught."""
        self.evaluate("0")
        said = [
            str([argument.get("value", argument.get("description")) for argument in event["params"]["args"]])
            for event in self._all("Runtime.consoleAPICalled")
            if event["params"]["type"] in ("error", "assert")
        ]
        thrown = [str(event["params"]["exceptionDetails"]) for event in self._all("Runtime.exceptionThrown")]
        logged = [
            f"{event['params']['entry']['text']} {event['params']['entry'].get('url', '')}"
            for event in self._all("Log.entryAdded")
            if event["params"]["entry"]["level"] == "error"
        ]
        return said + thrown + logged

    def _all(self, method: str) -> Iterator[dict[str, Any]]:
        return (event for event in self.events if event.get("method") == method)

    def _try(self, expression: str) -> Any:
        try:
            return self.evaluate(expression)
        except RuntimeError:  # The page is being replaced.
            return None

    def _next(self, seconds: float) -> dict[str, Any] | None:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0, seconds))[0]:
                return None
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser has ended")
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextmanager
def chromium(folder: Path, *arguments: str) -> Iterator[Callable[[], Page]]:
    """A browser with its data in `folder`; what is yielded opens a page."""
    commands, answers = os.pipe(), os.pipe()
    command = [CHROMIUM, "--headless", "--remote-debugging-pipe", f"--user-data-dir={folder}", "--no-first-run"]
    command += ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking"]
    command += ["--disable-component-update", "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream"]
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
        yield lambda: Page(commands[1], answers[0])
    finally:
        os.close(commands[1])
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        os.close(answers[0])
