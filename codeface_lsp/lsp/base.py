"""The language server object: documents, positions, and the services behind the handlers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from codeface_lsp import logs
from codeface_lsp.assist.services import Services
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.lsp.configuration import Configuration
from codeface_lsp.lsp.protocol import PARSE_ERROR, CodeFaceProtocol
from codeface_lsp.settings import Settings
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.lines import Encoding
from codeface_lsp.text.snapshot import Snapshot

log = logging.getLogger(__name__)

VERSION = version("codeface-lsp")


class CodeFaceServer(LanguageServer):
    """One per editor window."""

    protocol: CodeFaceProtocol

    def __init__(self) -> None:
        super().__init__(
            "codeface",
            VERSION,
            notebook_document_sync=types.NotebookDocumentSyncOptions(
                notebook_selector=[
                    types.NotebookDocumentFilterWithCells(cells=[types.NotebookCellLanguage("*")])
                ]
            ),
            protocol_cls=CodeFaceProtocol,
        )
        self.protocol.on_change = self._document_changed
        self.configuration = Configuration({})
        self.startup_problem: str | None = None
        self.roots: list[Path] = []
        self.status: dict[str, Any] = {"kind": "Normal", "state": "starting", "busy": False}
        self._services: Services | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def services(self) -> Services:
        """What the handlers call; only after `initialize`."""
        if self._services is None:
            raise CodeFaceError("CodeFace is not initialized yet; wait a moment and try again.")
        return self._services

    @services.setter
    def services(self, services: Services) -> None:
        self._services = services

    def use(self, settings: Settings) -> None:
        """Put new settings in force; what runs goes on."""
        self.use_logging(settings)
        self.services.use(settings)

    def use_logging(self, settings: Settings) -> None:
        """Apply the level, and the debug switch that shows each request with its timings."""
        logs.set_level(settings.log.level)
        self.protocol.trace_requests = settings.log.requests

    @property
    def encoding(self) -> Encoding:
        """The unit of `Position.character` that was agreed with the client."""
        return self.protocol.workspace.encoding

    def snapshot(self, uri: str) -> Snapshot:
        """Snapshot of an open document; raises `DocumentError` if it is not open, too large, or binary."""
        return self.protocol.workspace.snapshot(uri)

    def offset(self, snapshot: Snapshot, position: types.Position) -> int:
        """Code-point offset of a position, clamped to the document."""
        return snapshot.lines.offset(position.line, position.character, self.encoding)

    def position(self, snapshot: Snapshot, offset: int) -> types.Position:
        """Position of a code-point offset."""
        return types.Position(*snapshot.lines.position(offset, self.encoding))

    def range(self, snapshot: Snapshot, start: int, end: int) -> types.Range:
        """Range between two code-point offsets."""
        return types.Range(self.position(snapshot, start), self.position(snapshot, end))

    def _document_changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        if self._services is not None:
            self._services.document_changed(snapshot, edits)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run background work that belongs to the server; it is cancelled at shutdown."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)

    async def aclose(self) -> None:
        """Stop background work and close the services."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._services is not None:
            await self._services.aclose()

    def show_error(self, message: str) -> None:
        """One sentence for the user."""
        self.window_show_message(types.ShowMessageParams(types.MessageType.Error, message))

    def show_warning(self, message: str) -> None:
        """One sentence for the user."""
        self.window_show_message(types.ShowMessageParams(types.MessageType.Warning, message))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Answer a message that was not JSON; anything else goes to the log, not to the user's face."""
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
            self.protocol._send_data(
                {
                    "jsonrpc": "2.0",
                    "id": None,
                    "error": {"code": PARSE_ERROR, "message": "The message is not valid JSON."},
                }
            )
            return
        log.error("server error: %s", type(error).__name__)
