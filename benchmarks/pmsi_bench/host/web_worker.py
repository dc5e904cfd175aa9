"""One .tflite file on the page of `pmsi-export --web`, in a headless Chromium.

`python -m pmsi_bench.host.web_worker FILE --threads N --side PIXELS --web-runtime DIR`

Answers as `pmsi_bench.host.worker` does. A latency is that of the page's own benchmark: pixels in, probabilities out,
by the page's clock. Loading is what the page does to open the file, a download from this host included. Memory is not
known.
"""

import argparse
import base64
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pmsi_bench.host.browser import Page, find_chromium, open_browser
from pmsi_bench.host.worker import WARM_UP, claim_stdout, describe, say
from pmsi_export.web.server import serve
from pmsi_export.web.site import write_site
from pmsi_mobile.errors import PmsiError

_READY = "document.documentElement.dataset.ready !== undefined || document.getElementById('notice')?.textContent"
_OPEN = """
(async () => {
    const { session } = await import("/js/app.js");
    const before = performance.now();
    const closed = session.opened?.classifier;
    await session.openOwn(session.models[0]);
    const taken = performance.now() - before;
    await closed?.close();
    return taken;
})()
"""
_RUN = """
(async () => {
    const { session } = await import("/js/app.js");
    const { benchmark } = await import("/js/measure/benchmark.js");
    return (await benchmark(session.opened.classifier, undefined, %d, %d)).runs;
})()
"""
_CLASSIFY = """
(async () => {
    const { session } = await import("/js/app.js");
    const pixels = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
    const probabilities = await session.opened.classifier.run(pixels);
    return probabilities.indexOf(Math.max(...probabilities));
})()
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pmsi_bench.host.web_worker")
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--web-runtime", type=Path, required=True)
    arguments = parser.parse_args()
    answers = claim_stdout()
    try:
        with _page(arguments.model, arguments.threads, arguments.web_runtime) as page:
            _serve(page, arguments.model, answers)
    except (PmsiError, RuntimeError, TimeoutError) as error:
        say(answers, error=str(error).splitlines()[0], not_runnable=False)


@contextmanager
def _page(model: Path, threads: int, runtime: Path) -> Iterator[Page]:
    """The page with the model, open in a browser that seems to have as many cores as there shall be threads."""
    program = find_chromium()
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="pmsi-bench-", ignore_cleanup_errors=True) as folder:
        site = Path(folder) / "site"
        write_site([model], runtime, site)
        ports: list[int] = []
        threading.Thread(target=serve, args=(site, 0, ports.append), daemon=True).start()
        while not ports:
            time.sleep(0.01)
        with open_browser(program, Path(folder) / "browser") as new_page:
            page = new_page()
            page.call("Emulation.setHardwareConcurrencyOverride", hardwareConcurrency=threads)
            page.open(f"http://localhost:{ports[0]}/")
            page.wait_for(_READY)
            if notice := page.evaluate("document.getElementById('notice').textContent"):
                raise PmsiError(notice)
            yield page


def _serve(page: Page, model: Path, answers: TextIO) -> None:
    load_ms = page.evaluate(_OPEN)
    [first] = page.evaluate(_RUN % (1, 0))
    say(answers, load_ms=load_ms, first_inference_ms=first, memory_bytes=None)
    for line in sys.stdin:
        verb, *rest = line.split(maxsplit=1)
        if verb == "quit":
            return
        if verb == "round":
            load_ms = page.evaluate(_OPEN)
            say(answers, latencies_ns=_run(page, int(rest[0]), WARM_UP), load_ms=load_ms)
        elif verb == "classify":
            say(answers, classes=_classify(page, Path(rest[0].strip())))
        elif verb == "describe":
            say(answers, **describe(model))
        else:
            say(answers, latencies_ns=_run(page, int(rest[0]), 0))


def _run(page: Page, inferences: int, warm_up: int) -> list[int]:
    return [round(1e6 * milliseconds) for milliseconds in page.evaluate(_RUN % (inferences, warm_up))]


def _classify(page: Page, images: Path) -> list[Any]:
    import numpy as np

    return [page.evaluate(_CLASSIFY % base64.b64encode(image.tobytes()).decode()) for image in np.load(images)]


if __name__ == "__main__":
    main()
