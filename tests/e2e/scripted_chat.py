"""A language server whose chat model is scripted: the real server process, a real HTTP model server in the test."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.http_servers import serve
from tests.lsp_client import LspClient, language_server


@dataclass
class ScriptedModel:
    """Answers chat requests with `script(messages)`, piece by piece; `held` waits before each piece for `let`."""

    script: Callable[[list[dict[str, str]]], list[str]] = lambda messages: ["Hello", " there."]
    held: bool = False
    asked: list[list[dict[str, str]]] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)
    embeds: Callable[[str], list[float]] | None = None
    """Makes the vector of a text, for a model that serves embeddings, too."""
    embedded: list[str] = field(default_factory=list)
    ended_early: int = 0
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def let(self, pieces: int) -> None:
        for _ in range(pieces):
            self.gate.release()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/embeddings", self._embed, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "scripted", "object": "model"}]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body["messages"])
        return StreamingResponse(self._play(self.script(body["messages"])), media_type="text/event-stream")

    async def _embed(self, request: Request) -> Response:
        texts = (await request.json())["input"]
        self.embedded += texts
        if self.embeds is None:
            return JSONResponse({"error": {"message": "this model has no embeddings"}}, 400)
        rows = [{"index": n, "embedding": self.embeds(text)} for n, text in enumerate(texts)]
        return JSONResponse({"object": "list", "data": rows, "model": "scripted"})

    async def _play(self, pieces: list[str]) -> AsyncGenerator[str]:
        whole = False
        try:
            for piece in pieces:
                if self.held:
                    await self.gate.acquire()
                self.sent_at.append(time.perf_counter())
                yield _event({"delta": {"content": piece}, "finish_reason": None})
            yield _event({"delta": {}, "finish_reason": "stop"})
            yield "data: [DONE]\n\n"
            whole = True
        finally:
            self.ended_early += not whole


def _event(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps({'id': '1', 'model': 'scripted', 'choices': [{'index': 0, **choice}]})}\n\n"


@asynccontextmanager
async def scripted_server(
    home: Path,
    model: ScriptedModel,
    root: Path | None = None,
    *,
    index: bool = False,
    roles: tuple[str, ...] = ("completion", "chat"),
    command: list[str] | None = None,
    **capabilities: Any,
) -> AsyncIterator[LspClient]:
    """A started language server that talks to `model` in these roles; `index` lets it index the root."""
    async with serve(model.app()) as url, language_server(home, command=command) as client:
        endpoint = {
            "name": "scripted",
            "url": url,
            "dialect": "openai",
            "model": "scripted",
            "roles": list(roles),
            "context_tokens": 8192,
        }
        options = {"endpoints": [endpoint], "context": {"index": index}, "stats": {"enabled": False}}
        await client.initialize(root, options=options, **capabilities)
        yield client
