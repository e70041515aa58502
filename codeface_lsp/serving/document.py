"""`POST /codeface/document`: an open file's text ahead of the first completion in it, its neighbours, or its end."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.serving.core import Core
from codeface_lsp.serving.documents import Documents
from codeface_lsp.serving.schema import DocumentAction, parse


async def document(request: Request) -> Response:
    """Take in a version of a document for the n-gram index, or the files next to it; or forget it (`closed`)."""
    body = parse(DocumentAction, await request.body())
    core: Core = request.app.state.core
    documents: Documents = request.app.state.documents
    key = documents.key(body.client, body.id)
    if body.closed:
        documents.forget(body.client, body.id)
        async with core.model(body.model, "completion") as (engine, model):
            engine.forget_document(model, key)
        return JSONResponse({"document": body.id, "document_known": False})
    if body.neighbours is not None:
        neighbours = {file.filename: file.text for file in body.neighbours}
        documents.surround(body.client, body.id, neighbours)
        async with core.model(body.model, "completion") as (engine, model):
            await asyncio.to_thread(engine.set_neighbours, model, key, neighbours)
        return JSONResponse({"document": body.id, "neighbours": len(neighbours)})
    text = documents.update(body.client, body)
    if text is not None:
        async with core.model(body.model, "completion") as (engine, model):
            await asyncio.to_thread(engine.set_document, model, key, text)
    return JSONResponse({"document": body.id, "document_known": text is not None})
