"""What CodeFace is doing, as `codeface/didChangeStatus` and as work-done progress for clients that show it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from codeface_lsp.endpoints.types import EngineEvent
from codeface_lsp.lsp.work import Token, created

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

METHOD = "codeface/didChangeStatus"
_KINDS = {"error": "Error", "stopped": "Warning", "paused": "Inactive"}


class ProgressBar:
    """One server-created work-done progress; silent where the client has none (LSP 3.17, "Work Done Progress").

    The client is asked in the background, so a slow one delays nothing; every token that it takes is begun and ended.
    """

    def __init__(self, ls: CodeFaceServer, title: str) -> None:
        self._ls = ls
        self._title = title
        self._token: Token = None
        self._asked = False
        self._newest: tuple[str, int | None] | None = None

    async def report(self, message: str, share: float | None = None) -> None:
        """Show progress; `share` from 0 to 1 if known."""
        percentage = None if share is None else round(100 * max(0.0, min(1.0, share)))
        self._newest = (message, percentage)
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=message, percentage=percentage)
            self._ls.work_done_progress.report(self._token, report)
        elif not self._asked:
            self._asked = True
            self._ls.spawn(self._begin())

    async def _begin(self) -> None:
        token = await created(self._ls)
        if token is None:
            return  # and the client is not asked again
        self._token, self._asked = token, False
        message, percentage = self._newest or (None, None)
        begin = types.WorkDoneProgressBegin(self._title, message=message, percentage=percentage)
        self._ls.work_done_progress.begin(token, begin)
        if self._newest is None:
            self.end()  # the work was done before the client answered

    def end(self, message: str | None = None) -> None:
        """Take it away; harmless if it never showed."""
        self._newest = None
        if self._token is not None:
            self._ls.work_done_progress.tokens.pop(self._token, None)
            self._ls.work_done_progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._token = None


def send(
    ls: CodeFaceServer, state: str, *, busy: bool = False, message: str = "", progress: float | None = None
) -> None:
    """Send one `codeface/didChangeStatus`."""
    status: dict[str, Any] = {"kind": _KINDS.get(state, "Normal"), "state": state, "busy": busy}
    if message:
        status["message"] = message
    if progress is not None:
        status["progress"] = progress
    ls.status = status
    ls.protocol.notify(METHOD, status)


async def follow_endpoint(ls: CodeFaceServer) -> None:
    """Keep the model server alive while this window is open, and show what it does."""
    bar = ProgressBar(ls, "CodeFace")
    ls.services.completer.activity.on_change = lambda working: _generating(ls, working)
    try:
        async with aclosing(ls.services.endpoint.attach()) as events:
            async for event in events:
                await _show(ls, bar, event)
    finally:
        bar.end()


async def _show(ls: CodeFaceServer, bar: ProgressBar, event: EngineEvent) -> None:
    waiting = event.state in ("starting", "loading")
    send(ls, event.state, busy=waiting, message=event.message, progress=event.progress)
    if waiting:
        await bar.report(event.message or f"{event.state} {event.model}".strip(), event.progress)
        return
    bar.end(event.message)
    if event.state == "error":
        ls.show_error(event.message)


def _generating(ls: CodeFaceServer, working: bool) -> None:
    """Show that a suggestion takes a while; a load, a pause or an error says more and stays."""
    if working and ls.status["state"] == "ready":
        send(ls, "generating", busy=True)
    elif not working and ls.status["state"] == "generating":
        send(ls, "ready")


async def index_workspace(ls: CodeFaceServer) -> None:
    """Build the symbol index in the background, with progress."""
    bar = ProgressBar(ls, "CodeFace index")
    ls.services.workspace.on_notice = ls.show_warning
    try:
        await ls.services.workspace.start(bar.report)
    finally:
        bar.end()
