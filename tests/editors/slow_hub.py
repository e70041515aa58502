"""A model hub with one model, whose weights come slowly enough to be watched."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

from tests.hub_server import Handler, Hub, serving

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


def slow_hub() -> AbstractContextManager[Hub]:
    """The hub, served until the end of the block."""
    return serving(_Slow)
