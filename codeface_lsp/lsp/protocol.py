"""JSON-RPC with exactly one answer per request, whatever arrives.

pygls leaves some requests unanswered: those it cannot deserialise, those that come after `shutdown`, and those whose
client request was cancelled. Each of those gets its answer here, as the LSP specification (section "Base protocol")
asks. Nothing of a message's content is ever logged: pygls's own loggers are silenced, because they print parameters.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cattrs import Converter
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, lsp_method

from codeface_lsp.errors import CodeFaceError, SettingsError
from codeface_lsp.lsp import messages
from codeface_lsp.lsp.documents import Document, Documents
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

log = logging.getLogger(__name__)

for _name in ("pygls.protocol", "pygls.protocol.json_rpc", "pygls.protocol.language_server", "pygls.server"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
NOT_INITIALIZED = -32002
REQUEST_CANCELLED = -32800
REQUEST_FAILED = -32803


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A request that could not be deserialised; it still wants its answer."""

    id: int | str
    method: str
    error: types.ResponseError


@dataclass(frozen=True, slots=True)
class _InFlight:
    method: str
    started: float


class CodeFaceProtocol(LanguageServerProtocol):
    """The language server's side of the conversation."""

    trace_requests = False

    on_change: Callable[[Snapshot, Sequence[TextEdit]], None] = staticmethod(lambda snapshot, edits: None)
    """Called after each didChange; the server sets it."""

    def __init__(self, server: Any, converter: Converter) -> None:
        super().__init__(server, messages.teach(converter))
        self._in_flight: dict[int | str, _InFlight] = {}
        self._initialized = False

    def _register_builtin_features(self) -> None:
        """Register the methods that answer standard messages, without evaluating properties as pygls does."""
        for name, member in inspect.getmembers(type(self), callable):
            if hasattr(member, "method_name"):
                self.fm.add_builtin_feature(member.method_name, getattr(self, name))

    @property
    def workspace(self) -> Documents:
        """All open documents; only after `initialize`."""
        made_by_pygls = super().workspace
        if not isinstance(made_by_pygls, Documents):
            self._workspace = made_by_pygls = Documents.replacing(made_by_pygls)
        return made_by_pygls

    @property
    def shut_down(self) -> bool:
        """Whether `shutdown` was asked for; decides the exit status."""
        return self._shutdown

    @lru_cache  # noqa: B019 - one protocol per process
    def get_message_type(self, method: str) -> type[Any] | None:
        """Message class of standard and custom methods."""
        return messages.message_type(method) or types.METHOD_TO_TYPES.get(method, (None,))[0]

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Deserialise one JSON object; called for every nested object as well."""
        if "jsonrpc" not in data:
            return data
        try:
            return super().structure_message(messages.mend(data))
        except JsonRpcException as error:
            if "id" in data and "method" in data:
                message = (
                    f"The parameters of {data['method']} do not have the form that the protocol asks for."
                )
                return Unreadable(data["id"], data["method"], types.ResponseError(INVALID_PARAMS, message))
            log.warning("ignored an unreadable notification %s", data.get("method"))
            raise CodeFaceError("A notification could not be read; it was ignored.") from error

    def handle_message(self, message: Any) -> None:
        """Dispatch one message, or answer at once where the protocol says how."""
        if isinstance(message, Unreadable):
            self._in_flight[message.id] = _InFlight(message.method, time.perf_counter())
            self._refuse(message.id, self._too_early_or_late(message.method) or message.error)
            return
        if not hasattr(message, "jsonrpc") or message.jsonrpc != self.VERSION:
            known = message.get("id") if isinstance(message, dict) else getattr(message, "id", None)
            self._refuse(known, types.ResponseError(INVALID_REQUEST, "This is not a JSON-RPC 2.0 message."))
            return
        method = getattr(message, "method", None)
        request_id = getattr(message, "id", None) if method else None
        if request_id is not None:
            self._in_flight[request_id] = _InFlight(str(method), time.perf_counter())
            if problem := self._too_early_or_late(str(method)):
                self._refuse(request_id, problem)
                return
        elif method and not self._initialized and method not in (types.EXIT, types.INITIALIZED):
            return  # notifications before `initialize` are dropped, as the specification says
        super().handle_message(message)

    def _too_early_or_late(self, method: str) -> types.ResponseError | None:
        if self._shutdown:
            return types.ResponseError(INVALID_REQUEST, "The server is shutting down; start a new one.")
        if method == types.INITIALIZE:
            if self._initialized:
                return types.ResponseError(INVALID_REQUEST, "The server is initialized already.")
            self._initialized = True
        elif not self._initialized:
            return types.ResponseError(NOT_INITIALIZED, "Send `initialize` first.")
        return None

    def _refuse(self, request_id: Any, error: types.ResponseError) -> None:
        """Send an error without going through a handler; `id` is null if the request's could not be read."""
        self._trace(request_id, "refused")
        self._in_flight.pop(request_id, None)
        self._send_data(
            {
                "jsonrpc": self.VERSION,
                "id": request_id,
                "error": {"code": error.code, "message": error.message},
            }
        )

    def _send_handler_result(self, future: Future[Any], *, msg_id: int | str) -> None:
        """Answer a request from its handler's result, its error, or its cancellation."""
        self._request_futures.pop(msg_id, None)
        if future.cancelled():
            self._trace(msg_id, "cancelled")
            self._send_response(
                msg_id, error=types.ResponseError(REQUEST_CANCELLED, "The request was cancelled.")
            )
            return
        error = future.exception()
        if error is None:
            self._trace(msg_id, "ok")
            self._send_response(msg_id, result=future.result())
            return
        self._trace(msg_id, type(error).__name__)
        self._send_response(msg_id, error=_response_error(error))

    def _send_response(
        self, msg_id: int | str, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        self._in_flight.pop(msg_id, None)
        super()._send_response(msg_id, result, error)

    def _handle_response(
        self, msg_id: int | str, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        """Take a client's answer; a late one, whose waiter was cancelled, is dropped."""
        future = self._request_futures.get(msg_id)
        if future is not None and future.done():
            self._request_futures.pop(msg_id, None)
            return
        super()._handle_response(msg_id, result, error)

    def _check_handler_result(self, future: Future[Any]) -> None:
        """Log what a notification's handler raised; there is nobody to answer."""
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("a notification handler failed", exc_info=error)

    def _trace(self, request_id: Any, outcome: str) -> None:
        record = self._in_flight.get(request_id)
        if record is not None and self.trace_requests:
            elapsed = (time.perf_counter() - record.started) * 1000
            log.info("request %s %s: %s in %.1f ms", request_id, record.method, outcome, elapsed)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Apply changes and tell the services, each step with its snapshot."""
        document = self.workspace.open_document(params.text_document.uri)
        if document is None:
            log.warning("ignored a change of a document that is not open")
            return
        self._apply(document, params)

    def _apply(self, document: Document, params: types.DidChangeTextDocumentParams) -> None:
        edits = [document.apply(change, params.text_document.version) for change in params.content_changes]
        self.on_change(document.snapshot(), edits)


def _response_error(error: BaseException) -> types.ResponseError:
    if isinstance(error, asyncio.CancelledError):
        return types.ResponseError(REQUEST_CANCELLED, "The request was cancelled.")
    if isinstance(error, SettingsError):
        return types.ResponseError(INVALID_PARAMS, error.message, {"kind": error.kind})
    if isinstance(error, CodeFaceError):
        log.info("request failed: %s", error.kind)
        return types.ResponseError(REQUEST_FAILED, error.message, {"kind": error.kind})
    if isinstance(error, JsonRpcException):
        return error.to_response_error()
    log.error("a request handler failed", exc_info=error)
    return types.ResponseError(
        INTERNAL_ERROR, "CodeFace ran into a defect of its own; its log has the details."
    )
