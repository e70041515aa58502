"""`codeface/chat` and its kin: conversations, answers streamed under `partialResultToken`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types

from codeface_lsp.assist.chat import Event, Place, Reply
from codeface_lsp.assist.chat.service import blocks_as_json
from codeface_lsp.errors import CodeFaceError
from codeface_lsp.lsp import arguments, messages
from codeface_lsp.lsp.introspection import as_json
from codeface_lsp.lsp.work import PartialResults, work_done

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

CHAT = "codeface/chat"
LIST = "codeface/chat.list"
GET = "codeface/chat.get"
DELETE = "codeface/chat.delete"
REGENERATE = "codeface/chat.regenerate"
EDIT = "codeface/chat.edit"
APPLY = "codeface/chat.apply"


@attrs.define
class ChatParams:
    """Parameters of `codeface/chat`, `.regenerate` and `.edit`; `diagnostics` are those of the document's range."""

    message: str = ""
    conversation_id: str | None = None
    turn: int = 0
    text_document: types.TextDocumentIdentifier | None = None
    range: types.Range | None = None
    diagnostics: list[dict[str, Any]] | None = None
    partial_result_token: int | str | None = None
    work_done_token: int | str | None = None


@attrs.define
class ConversationParams:
    """Parameters of the requests about one conversation, or about all of them."""

    conversation_id: str = ""


@attrs.define
class ApplyParams:
    """Parameters of `codeface/chat.apply`: put a code block into a document."""

    text_document: types.TextDocumentIdentifier
    range: types.Range
    code: str
    mode: str = "apply"


for _method in (CHAT, REGENERATE, EDIT):
    messages.typed(_method, ChatParams)
for _method in (LIST, GET, DELETE):
    messages.typed(_method, ConversationParams)
messages.typed(APPLY, ApplyParams)


def register(server: CodeFaceServer) -> None:
    """Register the handlers."""

    @server.feature(CHAT)
    async def chat(ls: CodeFaceServer, params: ChatParams) -> dict[str, Any]:
        place = _place(ls, params)
        events = ls.services.chat.send(params.message, conversation_id=params.conversation_id, place=place)
        return await _stream(ls, params, events)

    @server.feature(REGENERATE)
    async def regenerate(ls: CodeFaceServer, params: ChatParams) -> dict[str, Any]:
        return await _stream(
            ls, params, ls.services.chat.regenerate(params.conversation_id or "", place=_place(ls, params))
        )

    @server.feature(EDIT)
    async def edit(ls: CodeFaceServer, params: ChatParams) -> dict[str, Any]:
        events = ls.services.chat.edit(
            params.conversation_id or "", params.turn, params.message, place=_place(ls, params)
        )
        return await _stream(ls, params, events)

    @server.feature(LIST)
    def list_conversations(ls: CodeFaceServer, params: ConversationParams) -> dict[str, Any]:
        found = ls.services.chat.store.list()
        return {
            "conversations": [
                {"conversationId": c.id, "title": c.title, "updated": c.updated, "turns": len(c.turns)}
                for c in found
            ]
        }

    @server.feature(GET)
    def get(ls: CodeFaceServer, params: ConversationParams) -> dict[str, Any]:
        conversation = ls.services.chat.store.get(params.conversation_id)
        turns = [
            {"role": t.role, "content": t.content, "references": as_json(t.references)}
            for t in conversation.turns
        ]
        return {"conversationId": conversation.id, "title": conversation.title, "turns": turns}

    @server.feature(DELETE)
    def delete(ls: CodeFaceServer, params: ConversationParams) -> None:
        ls.services.chat.store.delete(params.conversation_id)

    @server.feature(APPLY)
    async def apply(ls: CodeFaceServer, params: ApplyParams) -> dict[str, Any]:
        from codeface_lsp.lsp.apply import apply_proposal

        snapshot = ls.snapshot(params.text_document.uri)
        start, end = ls.offset(snapshot, params.range.start), ls.offset(snapshot, params.range.end)
        if params.mode not in ("apply", "insert"):
            raise CodeFaceError("The mode is `apply` or `insert`.", kind="invalid_argument")
        edits = ls.services.edits
        proposal = (
            edits.insert_block(snapshot, params.code, end)
            if params.mode == "insert"
            else edits.apply_block(snapshot, params.code, start, end)
        )
        await apply_proposal(ls, proposal)
        return {"applied": True}


async def _stream(ls: CodeFaceServer, params: ChatParams, events: AsyncGenerator[Event]) -> dict[str, Any]:
    partial = PartialResults(ls, params.partial_result_token)
    async with work_done(ls, params.work_done_token, "CodeFace answers"), aclosing(events):
        async for event in events:
            if isinstance(event, Reply):
                return as_result(event)
            partial.delta(event.text)
    raise CodeFaceError("The answer ended before it was complete; ask again.")


def as_result(reply: Reply) -> dict[str, Any]:
    """A reply as the protocol has it."""
    return {
        "conversationId": reply.conversation_id,
        "reply": reply.text,
        "codeBlocks": blocks_as_json(reply.code_blocks),
        "references": as_json(reply.references),
        "finishReason": reply.finish_reason,
        "usage": as_json(reply.usage),
        "model": reply.model,
    }


def _place(ls: CodeFaceServer, params: ChatParams) -> Place | None:
    if params.text_document is None:
        return None
    snapshot = ls.snapshot(params.text_document.uri)
    start = end = 0
    if params.range is not None:
        start, end = ls.offset(snapshot, params.range.start), ls.offset(snapshot, params.range.end)
    given = [arguments.plain(d) for d in params.diagnostics or ()]
    problems = tuple(arguments.problem(ls, snapshot, d) for d in given if isinstance(d, dict))
    return Place(snapshot, min(start, end), max(start, end), problems)
