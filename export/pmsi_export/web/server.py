"""The page on this machine: a static server whose pages may use threads."""

import sys
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pmsi_export.web.site import check_is_site
from pmsi_mobile.errors import PmsiError

HEADERS = {
    # Cross-origin isolation: with it a page has threads and precise clocks.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class _Handler(SimpleHTTPRequestHandler):
    # What a system's own list says of these differs, and browsers insist.
    extensions_map = {  # noqa: RUF012 (its type is the base's)
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".png": "image/png",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """One line per request helps nobody here."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A browser that has what it needs, or is closed, goes away.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(folder: Path, port: int, started: Callable[[int], None]) -> None:
    """Serve a page of `write_site` on localhost alone until Ctrl-C. port: 0 for any; `started` gets the one taken.

    Raises PmsiError for a folder without a page and a port that is taken.
    """
    check_is_site(folder)
    try:
        server = _Server(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise PmsiError(f"port {port} cannot be had ({error.strerror}): choose another --port") from None
    with server:
        started(server.server_address[1])
        server.serve_forever()
