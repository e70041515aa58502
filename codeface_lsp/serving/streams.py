"""Answers as server-sent events.

The status of a stream is sent with its first event, so that a request that cannot be served gets a plain error with
the right status. Only where the first event takes long (a model is loading) the stream is opened before, and kept
alive with comments; an error is then the stream's last event.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codeface_lsp.serving.failures import describe

PATIENCE_S = 5.0
KEEP_ALIVE_S = 10.0

Events = AsyncGenerator[dict[str, Any]]
"""JSON objects to send, one per event."""


def encode(event: dict[str, Any]) -> bytes:
    """Return an event on the wire."""
    return b"data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def stream(events: Events, *, done: bool = False) -> Response:
    """Return the response that sends `events`; raises what they raise before the first one.

    `done` ends it with `data: [DONE]`, as OpenAI's routes do.
    """
    first = asyncio.ensure_future(anext(events))
    try:
        await asyncio.wait({first}, timeout=PATIENCE_S)
        if first.done():
            with suppress(StopAsyncIteration):
                first.result()
    except BaseException:
        await _abandon(first, events)
        raise
    return EventStream(first, events, done=done)


class EventStream(Response):
    """Sends events as they come."""

    def __init__(self, first: asyncio.Future[dict[str, Any]], events: Events, *, done: bool = False) -> None:
        """`first` is the future of the first event, the rest follows from `events`."""
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection (ASGI)."""

        async def write(data: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        comments = _Repeat(KEEP_ALIVE_S, lambda: write(b": waiting\n\n"))
        try:
            if not await self._write_events(write):
                await write(b"data: [DONE]\n\n" if self._done else b"", more=False)
        finally:
            comments.stop()
            await _abandon(self._first, self._events)

    async def _write_events(self, write: Any) -> bool:
        """Send them all; true if the last one was known to be the last, and so ended the body."""
        try:
            with suppress(StopAsyncIteration):
                await write(encode(await self._first))
            async for event in self._events:
                last = event.get("stop") is True
                await write(encode(event), more=not last)
                if last:
                    return True
        except Exception as error:
            await write(encode(describe(error)[1]))
        return False


class _Repeat:
    """Does something every so often; until the first time it costs no task."""

    def __init__(self, every_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._every_s = every_s
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(every_s, self._start)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._work())
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._start)

    def stop(self) -> None:
        """No more of it."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


async def _abandon(first: asyncio.Future[dict[str, Any]], events: Events) -> None:
    """Close the generator, which may be running its first step."""
    first.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
        await first
    await events.aclose()
