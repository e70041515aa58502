"""The composition root of the language server: which handler files there are, and how it is started."""

from __future__ import annotations

from typing import BinaryIO

from codeface_lsp.lsp import (
    acceptance,
    chat,
    chat_document,
    code_action,
    completion,
    configuration,
    execute_command,
    explain,
    inline_completion,
    introspection,
    lifecycle,
    next_edit,
    synchronization,
)
from codeface_lsp.lsp.base import CodeFaceServer

_HANDLERS = (
    lifecycle,
    synchronization,
    configuration,
    inline_completion,
    completion,
    acceptance,
    next_edit,
    explain,
    code_action,
    execute_command,
    chat,
    chat_document,
    introspection,
)


def create() -> CodeFaceServer:
    """A server with every handler registered, not yet connected to anything."""
    server = CodeFaceServer()
    for handler in _HANDLERS:
        handler.register(server)
    return server


def serve_stdio(stdin: BinaryIO | None = None) -> int:
    """Serve one editor over stdin and stdout; return the exit status (0 only after `shutdown`, as LSP asks)."""
    server = create()
    server.start_io(stdin)
    return 0 if server.protocol.shut_down else 1


def serve_tcp(host: str, port: int) -> int:
    """Serve one editor over TCP, for debugging and for remote editors."""
    server = create()
    server.start_tcp(host, port)
    return 0 if server.protocol.shut_down else 1
