"""Notices a client that went away, or that no longer reads, and ends the work done for it.

One place for every route, streamed or not: Starlette watches streamed responses only, so a plain answer would be
computed to its end for nobody. The body is read here, up to a limit, so that afterwards the connection has nothing
to say but its end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codeface_lsp.serving.failures import failure

_log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024 * 1024
MAX_BODIES = 256 * 1024 * 1024
"""Bytes of all requests that are being read or answered; beyond them the engine is busy."""
SEND_TIMEOUT_S = 30.0
"""A client that takes no data for so long is treated as gone."""


class _Gone(Exception):
    """The client closed the connection before its request was complete."""


class _Refused(Exception):
    """The request is answered here."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


class Watcher:
    """ASGI middleware; cancels the inner application when the client is gone."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body: int = MAX_BODY,
        max_bodies: int = MAX_BODIES,
        send_timeout_s: float = SEND_TIMEOUT_S,
        log_requests: bool = False,
    ) -> None:
        """`log_requests` logs method, path, status and milliseconds of each request, never its text."""
        self._app = app
        self._max_body = max_body
        self._max_bodies = max_bodies
        self._held = 0
        self._send_timeout_s = send_timeout_s
        self._log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = _Held(self)
        try:
            body = await self._read(scope, receive, held)
            await self._answer(scope, receive, send, body)
        except _Gone:
            return
        except _Refused as refused:
            await refused.answer(scope, receive, send)
        finally:
            held.release()

    async def _answer(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None
        exchange = _Exchange(body, send, self._send_timeout_s, give_up=task.cancel)
        watching = asyncio.create_task(exchange.watch(receive))
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            if not exchange.gave_up:
                raise
            task.uncancel()
        finally:
            watching.cancel()
        if self._log_requests:
            took = (time.perf_counter() - started) * 1000
            how = " (client gone)" if exchange.gave_up else ""
            _log.info("%s %s %s %.1f ms%s", scope["method"], scope["path"], exchange.status, took, how)

    async def _read(self, scope: Scope, receive: Receive, held: _Held) -> bytes:
        """Return the whole body; what is announced as too large is not read at all."""
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_body:
            raise self._too_large()
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            held.add(len(parts[-1]))
            if held.size > self._max_body:
                raise self._too_large()
            if self._held > self._max_bodies:
                raise _Refused(failure(503, "The engine has too many requests in hand; try again.", "busy"))
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> _Refused:
        said = f"The body is larger than {self._max_body >> 20} MB; send less."
        return _Refused(failure(413, said, "body_too_large"))


class _Held:
    """A request's share of the bytes that all requests hold."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.size = 0

    def add(self, size: int) -> None:
        """More of the body arrived."""
        self.size += size
        self._watcher._held += size

    def release(self) -> None:
        """The request is done with."""
        self._watcher._held -= self.size


class _Exchange:
    """What the inner application sees of the connection."""

    def __init__(
        self, body: bytes, send: Send, send_timeout_s: float, *, give_up: Callable[[], object]
    ) -> None:
        self._body: bytes | None = body
        self._send = send
        self._send_timeout_s = send_timeout_s
        self._cancel = give_up
        self._last = False
        self.gave_up = False
        self.status = 0

    async def watch(self, receive: Receive) -> None:
        """Give up when the connection ends before the answer does."""
        while (await receive())["type"] != "http.disconnect":
            pass
        # The server also reports the end of an exchange when the last byte is out.
        if not self._last:
            self._give_up()

    def _give_up(self) -> None:
        if not self.gave_up:
            self.gave_up = True
            self._cancel()

    async def receive(self) -> Message:
        """Give the body once; after that wait for ever, because the watcher cancels instead of telling."""
        if self._body is None:
            await asyncio.Event().wait()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Send, giving up on a client that does not read."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self._last = message["type"] == "http.response.body" and not message.get("more_body", False)
        stalled = asyncio.get_running_loop().call_later(self._send_timeout_s, self._give_up)
        try:
            await self._send(message)
        finally:
            stalled.cancel()
