"""A model hub with one model, whose weights come slowly enough to be watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from tests.unit.models.test_hub import Handler, Hub

_PIECE = 1 << 20
_PACE_S = 0.2


class _Slow(Handler):
    def answer(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, only: int | None = None
    ) -> None:
        if self.command == "HEAD" or len(body) < _PIECE:
            super().answer(status, body, headers, only)
            return
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for start in range(0, len(body), _PIECE):
            self.wfile.write(body[start : start + _PIECE])
            time.sleep(_PACE_S)  # the pace of a line, not a wait


@contextmanager
def slow_hub() -> Iterator[Hub]:
    """The hub, served until the end of the block; `url` is its address."""
    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Slow,), {"hub": state}))
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
