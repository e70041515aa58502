"""Composition of the engine's HTTP API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from codeface_lsp.errors import CodeFaceError
from codeface_lsp.serving import attach, chat, completions, document, embeddings, infill, model_routes, tokens
from codeface_lsp.serving.core import Core
from codeface_lsp.serving.documents import Documents
from codeface_lsp.serving.failures import answer_error
from codeface_lsp.serving.guard import Guard
from codeface_lsp.serving.watcher import Watcher


def create_app(core: Core, token: str, *, stop: Callable[[], None]) -> ASGIApp:
    """Return the API of one engine: guarded by `token`, every client watched. `stop` ends the process."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        core.start()
        try:
            yield
        finally:
            await core.aclose()

    app = Starlette(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers={CodeFaceError: answer_error, HTTPException: answer_error, 500: answer_error},
    )
    app.state.core = core
    app.state.documents = Documents()
    app.state.stop = stop
    watched = Watcher(app, log_requests=core.settings.log.requests)
    return Guard(watched, token)


def _routes() -> list[Route]:
    post = ["POST"]
    return [
        Route("/infill", infill.infill, methods=post),
        Route("/v1/infill", infill.infill, methods=post),
        Route("/v1/completions", completions.completions, methods=post),
        Route("/v1/chat/completions", chat.chat_completions, methods=post),
        Route("/v1/embeddings", embeddings.embeddings, methods=post),
        Route("/v1/models", model_routes.models),
        Route("/v1/models/{name:path}", model_routes.model),
        Route("/tokenize", tokens.tokenize, methods=post),
        Route("/detokenize", tokens.detokenize, methods=post),
        Route("/health", attach.health),
        Route("/v1/health", attach.health),
        Route("/metrics", attach.metrics),
        Route("/codeface/attach", attach.attach),
        Route("/codeface/stop", attach.stop, methods=post),
        Route("/codeface/document", document.document, methods=post),
        Route("/codeface/models/info", model_routes.info, methods=post),
        Route("/codeface/models/load", model_routes.load, methods=post),
        Route("/codeface/models/unload", model_routes.unload, methods=post),
        Route("/codeface/models/default", model_routes.default, methods=post),
        Route("/codeface/models/download", model_routes.download, methods=post),
        Route("/codeface/models/remove", model_routes.remove, methods=post),
    ]
