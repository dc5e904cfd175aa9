"""A page in a headless Chromium, as a test looks at it."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pmsi_bench.host import browser
from tests.benchmarks.browser import CHROMIUM

PHONE = {"width": 412, "height": 860, "deviceScaleFactor": 1, "mobile": True}


class Page(browser.Page):
    """With the size of a phone."""

    def __init__(self, write: int, read: int) -> None:
        super().__init__(write, read)
        self.call("Emulation.setDeviceMetricsOverride", **PHONE)

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


@contextmanager
def chromium(folder: Path, *arguments: str) -> Iterator[Callable[[], Page]]:
    """A browser with its data in `folder`; what is yielded opens a page."""
    with browser.open_browser(CHROMIUM, folder, "--use-fake-ui-for-media-stream", *arguments, kind=Page) as new_page:
        yield new_page
