"""Real HTTP servers on the loopback address, in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from codeface_lsp.serving.main import listen, make_server


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncGenerator[str]:
    """Serve an application as the engine serves its own; gives the base URL."""
    listener = listen(0)
    server = make_server(app)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        assert not running.done()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()


class FakeServer:
    """Somebody else's model server: answers each path with what the test wrote, and keeps the requests."""

    def __init__(self, routes: dict[str, Any]) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._routes = routes
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.requests if asked == path]

    async def _answer(self, request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw) if raw else {}
        path = request.url.path
        self.requests.append((path, body))
        self.headers.append(dict(request.headers))
        answer = self._routes.get(path)
        if callable(answer) and not isinstance(answer, Response):
            answer = answer(body)
        if answer is None:
            return JSONResponse({"error": {"message": "no such route"}}, 404)
        if isinstance(answer, Response):
            return answer
        return JSONResponse(answer)


def events(*objects: dict[str, Any], done: bool = True) -> StreamingResponse:
    """Server-sent events, as OpenAI's routes send them."""
    lines = [f"data: {json.dumps(o)}\n\n" for o in objects] + (["data: [DONE]\n\n"] if done else [])
    return StreamingResponse(_each(lines), media_type="text/event-stream")


def lines(*objects: dict[str, Any]) -> StreamingResponse:
    """One JSON object per line, as Ollama sends them."""
    return StreamingResponse(
        _each([json.dumps(o) + "\n" for o in objects]), media_type="application/x-ndjson"
    )


async def _each(texts: Sequence[str]) -> AsyncGenerator[str]:
    for text in texts:
        yield text
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], bool], within_s: float = 20) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
