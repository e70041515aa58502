"""`textDocument/completion`: the same suggestions in the popup menu, for clients without inline completion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lsprotocol import types

from codeface_lsp.assist.inline import Suggestion
from codeface_lsp.errors import DocumentError
from codeface_lsp.lsp.inline_completion import accepted_command
from codeface_lsp.text.snapshot import Snapshot

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

_TRIGGERS = [".", "(", "[", "{", ",", "=", " ", ":", '"', "'", "/"]
_BELOW_OTHERS = "\U0010ffff"
"""Sort text behind that of any language's own server."""
_LONGEST_LABEL = 100
_WORD = re.compile(r"\w+\Z")


def register(server: CodeFaceServer) -> None:
    """Register the handler."""

    @server.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=_TRIGGERS))
    async def completion(ls: CodeFaceServer, params: types.CompletionParams) -> types.CompletionList:
        if shows_inline(ls):
            return types.CompletionList(is_incomplete=False, items=[])
        try:
            snapshot = ls.snapshot(params.text_document.uri)
        except DocumentError as error:
            if error.kind == "not_open":
                raise
            return types.CompletionList(is_incomplete=False, items=[])
        offset = ls.offset(snapshot, params.position)
        suggestions = await ls.services.completer.complete(snapshot, offset, invoked=False)
        items = [_item(ls, snapshot, offset, suggestion) for suggestion in suggestions or []]
        return types.CompletionList(is_incomplete=True, items=items)


def shows_inline(ls: CodeFaceServer) -> bool:
    """Whether the client shows ghost text, so that the popup menu would say the same again."""
    document = ls.client_capabilities.text_document
    return bool(document and document.inline_completion)


def _item(
    ls: CodeFaceServer, snapshot: Snapshot, offset: int, suggestion: Suggestion
) -> types.CompletionItem:
    """A menu entry that stands for the word before the cursor and what is suggested to follow it."""
    start = snapshot.lines.starts[snapshot.lines.line_at(offset)]
    typed = _WORD.search(snapshot.text[start:offset])
    word = typed.group() if typed else ""
    text = word + suggestion.text
    label = " ".join(text.split("\n")[0].split()) or text.strip().split("\n")[0].strip()
    if "\n" in text.strip() or len(label) > _LONGEST_LABEL:
        label = label[:_LONGEST_LABEL] + " …"
    return types.CompletionItem(
        label=label,
        kind=types.CompletionItemKind.Snippet,
        detail="CodeFace",
        documentation=types.MarkupContent(
            types.MarkupKind.Markdown, f"```{snapshot.language}\n{text.strip()}\n```"
        ),
        sort_text=_BELOW_OTHERS,
        filter_text=text,
        insert_text=text,
        insert_text_format=types.InsertTextFormat.PlainText,
        text_edit=types.TextEdit(ls.range(snapshot, offset - len(word), suggestion.end), text),
        command=accepted_command(suggestion.id),
    )
