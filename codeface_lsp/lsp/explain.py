"""`codeface/explain`: an explanation streamed under `partialResultToken`."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types

from codeface_lsp.lsp import messages
from codeface_lsp.lsp.work import PartialResults, work_done

if TYPE_CHECKING:
    from codeface_lsp.lsp.base import CodeFaceServer

METHOD = "codeface/explain"


@attrs.define
class ExplainParams:
    """Parameters of `codeface/explain`."""

    text_document: types.TextDocumentIdentifier
    range: types.Range
    question: str = ""
    partial_result_token: int | str | None = None
    work_done_token: int | str | None = None


messages.typed(METHOD, ExplainParams)


def register(server: CodeFaceServer) -> None:
    """Register the handler."""

    @server.feature(METHOD)
    async def explain(ls: CodeFaceServer, params: ExplainParams) -> dict[str, Any]:
        snapshot = ls.snapshot(params.text_document.uri)
        start = ls.offset(snapshot, params.range.start)
        end = max(start, ls.offset(snapshot, params.range.end))
        partial = PartialResults(ls, params.partial_result_token)
        pieces: list[str] = []
        finish_reason = None
        async with (
            work_done(ls, params.work_done_token, "CodeFace explains"),
            aclosing(ls.services.explainer.explain(snapshot, start, end, question=params.question)) as chunks,
        ):
            async for chunk in chunks:
                partial.delta(chunk.text)
                pieces.append(chunk.text)
                finish_reason = chunk.finish_reason
        return {"markdown": "".join(pieces).strip(), "finishReason": finish_reason}
