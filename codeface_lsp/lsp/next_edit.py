"""`textDocument/copilotInlineEdit`: the next edit, elsewhere in the file, as existing clients ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types

from codeface_lsp.lsp import messages
from codeface_lsp.lsp.inline_completion import accepted_command

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

METHOD = "textDocument/copilotInlineEdit"


@attrs.define
class InlineEditParams:
    """Parameters: the document with its version, and the cursor."""

    text_document: dict[str, Any]
    position: types.Position
    context: Any = None


messages.typed(METHOD, InlineEditParams)


def register(server: CodeFaceServer) -> None:
    """Register the handler."""

    @server.feature(METHOD)
    async def inline_edit(ls: CodeFaceServer, params: InlineEditParams) -> dict[str, Any]:
        snapshot = ls.snapshot(str(params.text_document.get("uri")))
        version = params.text_document.get("version")
        completer = ls.services.completer
        if version not in (None, snapshot.version):
            return {"edits": []}  # asked about a text that is no more
        offset = ls.offset(snapshot, params.position)
        return {
            "edits": [
                {
                    "text": edit.text,
                    "range": ls.range(snapshot, edit.start, edit.end),
                    "textDocument": {"uri": snapshot.uri, "version": snapshot.version},
                    "command": accepted_command(edit.id),
                }
                for edit in completer.next_edit(snapshot, offset)
            ]
        }
