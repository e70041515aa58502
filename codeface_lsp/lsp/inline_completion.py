"""`textDocument/inlineCompletion` (LSP 3.18): ghost text. `[]` means nothing, `null` that a newer request came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lsprotocol import types

from codeface_lsp.assist.inline import SelectedItem, Suggestion
from codeface_lsp.errors import DocumentError
from codeface_lsp.text.snapshot import Snapshot

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

ACCEPTED = "codeface.accepted"


def register(server: CodeFaceServer) -> None:
    """Register the handler."""
    told: set[str] = set()

    @server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())
    async def inline_completion(
        ls: CodeFaceServer, params: types.InlineCompletionParams
    ) -> types.InlineCompletionList | None:
        uri = params.text_document.uri
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        try:
            snapshot = ls.snapshot(uri)
        except DocumentError as error:
            if invoked or error.kind == "not_open":
                raise
            if uri not in told:
                told.add(uri)
                ls.show_warning(error.message)
            return types.InlineCompletionList([])
        suggestions = await ls.services.completer.complete(
            snapshot,
            ls.offset(snapshot, params.position),
            invoked=invoked,
            selected=_selected(ls, snapshot, params.context.selected_completion_info),
        )
        return None if suggestions is None else as_list(ls, snapshot, suggestions)


def as_list(
    ls: CodeFaceServer, snapshot: Snapshot, suggestions: Sequence[Suggestion]
) -> types.InlineCompletionList:
    """The suggestions as the protocol has them, always with a range and a command that counts acceptance."""
    return types.InlineCompletionList(
        [
            types.InlineCompletionItem(
                insert_text=suggestion.text,
                range=ls.range(snapshot, suggestion.start, suggestion.end),
                command=accepted_command(suggestion.id),
            )
            for suggestion in suggestions
        ]
    )


def accepted_command(suggestion_id: str) -> types.Command:
    """What a client runs when a suggestion was accepted."""
    return types.Command("CodeFace: suggestion accepted", ACCEPTED, arguments=[suggestion_id])


def _selected(
    ls: CodeFaceServer, snapshot: Snapshot, info: types.SelectedCompletionInfo | None
) -> SelectedItem | None:
    if info is None:
        return None
    start, end = ls.offset(snapshot, info.range.start), ls.offset(snapshot, info.range.end)
    return SelectedItem(info.text, min(start, end), max(start, end))
