"""What clients tell about suggestions, and pausing: `codeface.accepted`, `codeface.pause`, `codeface.resume`.

`textDocument/didShowCompletion`, `didPartiallyAcceptCompletion` and `didShowInlineEdit` are Copilot's conventions,
which clients speak already. `acceptedLength` counts UTF-16 units from the beginning of the item's text.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import attrs
from lsprotocol import types
from pygls.uris import from_fs_path

from codeface_lsp import paths
from codeface_lsp.assist.inline.gate import PauseScope
from codeface_lsp.assist.stats_page import write_page
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.lsp import messages, status
from codeface_lsp.lsp.base import CodeFaceServer  # at run time: pygls resolves the annotations of commands
from codeface_lsp.lsp.inline_completion import ACCEPTED
from codeface_lsp.text.lines import prefix_of_units

_PATIENCE_S = 5.0

DID_SHOW = "textDocument/didShowCompletion"
DID_PARTLY_ACCEPT = "textDocument/didPartiallyAcceptCompletion"
DID_SHOW_EDIT = "textDocument/didShowInlineEdit"


@attrs.define
class DidShowParams:
    """Parameters of `didShowCompletion` and `didShowInlineEdit`: the item as the server sent it."""

    item: dict[str, Any]


@attrs.define
class DidPartlyAcceptParams:
    """Parameters of `didPartiallyAcceptCompletion`."""

    item: dict[str, Any]
    accepted_length: int


messages.typed(DID_SHOW, DidShowParams, notification=True)
messages.typed(DID_SHOW_EDIT, DidShowParams, notification=True)
messages.typed(DID_PARTLY_ACCEPT, DidPartlyAcceptParams, notification=True)


def register(server: CodeFaceServer) -> None:
    """Register the handlers."""

    @server.command(ACCEPTED)
    def accepted(ls: CodeFaceServer, *arguments: Any) -> None:
        if arguments and isinstance(arguments[0], str):
            ls.services.completer.accepted(arguments[0])

    @server.feature(DID_SHOW)
    def did_show(ls: CodeFaceServer, params: DidShowParams) -> None:
        """Nothing to count: a suggestion that was answered in time counts as shown, for all clients alike."""

    @server.feature(DID_SHOW_EDIT)
    def did_show_edit(ls: CodeFaceServer, params: DidShowParams) -> None:
        """The same for a next edit."""

    @server.feature(DID_PARTLY_ACCEPT)
    def did_partly_accept(ls: CodeFaceServer, params: DidPartlyAcceptParams) -> None:
        suggestion_id = _id(params.item)
        text = params.item.get("insertText")
        if suggestion_id is not None and isinstance(text, str):
            chars = prefix_of_units(text, params.accepted_length, "utf-16")
            ls.services.completer.accepted(suggestion_id, chars)

    @server.command("codeface.pause")
    def pause(ls: CodeFaceServer, *arguments: Any) -> None:
        _pause(ls, arguments, paused=True)

    @server.command("codeface.resume")
    def resume(ls: CodeFaceServer, *arguments: Any) -> None:
        _pause(ls, arguments, paused=False)

    @server.command("codeface.showStats")
    def show_stats(ls: CodeFaceServer, *arguments: Any) -> None:
        ls.spawn(_show_stats(ls))


async def _show_stats(ls: CodeFaceServer) -> None:
    """Draw the page and let the client open it; one that can't is told where it lies."""
    page = await asyncio.to_thread(write_page, paths.cache_dir() / "statistics.html")
    window = ls.client_capabilities.window
    uri = from_fs_path(str(page))
    if uri is not None and window and window.show_document and window.show_document.support:
        shown = ls.window_show_document_async(types.ShowDocumentParams(uri, external=True))
        with suppress(TimeoutError):  # some clients never answer
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(shown)), _PATIENCE_S)
        return
    ls.window_show_message(types.ShowMessageParams(types.MessageType.Info, f"Statistics: {page}"))


def _pause(ls: CodeFaceServer, arguments: tuple[Any, ...], *, paused: bool) -> None:
    """`[]` is the whole workspace, `[{"language": id}]` a language, `[{"uri": uri}]` a file."""
    scope, value = _scope(arguments)
    ls.services.completer.pause(scope, value, paused=paused)
    what = {"language": f"{value} files", "file": "this file", "workspace": "all files"}[scope]
    state = "paused" if paused else "ready"
    status.send(ls, state, message=f"Suggestions for {what} are {'paused' if paused else 'on again'}.")


def _scope(arguments: tuple[Any, ...]) -> tuple[PauseScope, str]:
    match arguments:
        case () | (None,) | ({},):
            return "workspace", ""
        case ({"language": str(language)}, *_):
            return "language", language
        case ({"uri": str(uri)}, *_):
            return "file", uri
    raise CodeFaceError('Pause takes nothing, {"language": id} or {"uri": uri} as its argument.')


def _id(item: dict[str, Any]) -> str | None:
    """The suggestion's id in the item's command."""
    match item:
        case {"command": {"arguments": [str(suggestion_id), *_]}}:
            return suggestion_id
    return None
