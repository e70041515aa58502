"""Streams of a request or a job to the client: partial results, work-done progress, and its cancel button."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from lsprotocol import types

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

_PATIENCE_S = 5.0
"""How long a client may take to accept a progress; some never answer."""

Token = int | str | None


class PartialResults:
    """Sends `$/progress` with `{delta}` under the request's `partialResultToken`; silent without one."""

    def __init__(self, ls: CodeFaceServer, token: Token) -> None:
        self._ls = ls
        self._token = token

    def delta(self, text: str) -> None:
        """Send a piece of the answer at once."""
        if self._token is not None and text:
            self.value({"delta": text})

    def value(self, value: dict[str, Any]) -> None:
        """Send any other partial value."""
        if self._token is not None:
            self._ls.protocol.notify(types.PROGRESS, types.ProgressParams(self._token, value))


class WorkDone:
    """One work-done progress; silent where there is no token."""

    def __init__(self, ls: CodeFaceServer, token: Token) -> None:
        self._ls = ls
        self._token = token

    def report(self, message: str) -> None:
        """Say what is going on."""
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=message, cancellable=True)
            self._ls.work_done_progress.report(self._token, report)


@asynccontextmanager
async def work_done(ls: CodeFaceServer, token: Token, title: str) -> AsyncIterator[WorkDone]:
    """Show progress under `token` for the block; the client's cancel button cancels the current task.

    `token` is the request's own `workDoneToken`, or one from `created`; None shows nothing.
    """
    progress = ls.work_done_progress
    if token is not None:
        progress.begin(token, types.WorkDoneProgressBegin(title, cancellable=True))
        task = asyncio.current_task()
        if task is not None:
            progress.tokens[token].add_done_callback(lambda _: task.cancel())
    message: str | None = None
    try:
        yield WorkDone(ls, token)
    except asyncio.CancelledError:
        message = "cancelled"
        raise
    finally:
        if token is not None:
            progress.tokens.pop(token, None)  # never removed by pygls
            progress.end(token, types.WorkDoneProgressEnd(message=message))


async def created(ls: CodeFaceServer) -> Token:
    """A server-created progress token; None where the client has no such progress or does not answer in time.

    Whoever gets a token begins and ends it: some clients show a spinner from the creation to the end.
    """
    window = ls.client_capabilities.window
    if not (window and window.work_done_progress):
        return None
    token = f"codeface-{uuid.uuid4()}"
    answer = asyncio.ensure_future(ls.work_done_progress.create_async(token))
    try:
        # A late reply to a cancelled wait would break pygls's read loop, hence the shield.
        await asyncio.wait_for(asyncio.shield(answer), _PATIENCE_S)
    except TimeoutError:  # the job goes on without a progress
        answer.add_done_callback(lambda late: _close_unused(ls, token, late))
        return None
    except Exception:  # the client refused
        return None
    return token


def _close_unused(ls: CodeFaceServer, token: str, late: asyncio.Future[Any]) -> None:
    """End a progress that the client created when nobody waited for it any more."""
    if late.cancelled() or late.exception() is not None:
        return
    progress = ls.work_done_progress
    progress.begin(token, types.WorkDoneProgressBegin("CodeFace"))
    progress.tokens.pop(token, None)
    progress.end(token, types.WorkDoneProgressEnd())
