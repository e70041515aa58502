"""A model server in the test's own process: streams over HTTP what the test wrote down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class ModelServer:
    """`/infill` as llama-server streams it: pieces of `answer`, the more slowly the larger `pause_s`.

    As CodeFace's own engine does, it says that a request waits for a load until `loaded` is set. With `status` other
    than 200 it refuses (a document, with `document_status`); with `breaks` it goes away in the middle of its answer.
    """

    def __init__(self) -> None:
        self.answer = "return width * height"
        self.pause_s = 0.0
        self.status = 200
        self.document_status = 200
        self.breaks = False
        self.loaded = asyncio.Event()
        self.bodies: list[dict[str, Any]] = []
        self.documents: list[dict[str, Any]] = []
        self.running = 0
        self.port = 0
        self.reset()
        self.app = Starlette(
            routes=[
                Route("/infill", self._infill, methods=["POST"]),
                Route("/codeface/document", self._document, methods=["POST"]),
                Route("/health", self._ok),
                Route("/props", self._ok),
                Route("/v1/models", self._models),
            ]
        )

    def reset(self) -> None:
        """As at the beginning."""
        self.answer, self.pause_s, self.status, self.breaks = "return width * height", 0.0, 200, False
        self.document_status = 200
        self.loaded.set()
        self.bodies.clear()
        self.documents.clear()

    async def until_asked(self, count: int = 1) -> None:
        """Wait until so many requests have come in."""
        async with asyncio.timeout(30):
            while len(self.bodies) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def _infill(self, request: Request) -> Response:
        with suppress(ClientDisconnect):
            self.bodies.append(await request.json())
        if self.status != 200:
            error = {"message": "the queue is full", "code": "busy"}
            return JSONResponse({"error": error}, self.status, {"Retry-After": "1"})
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[str]:
        self.running += 1
        try:
            answer, pause = self.answer, self.pause_s
            if not self.loaded.is_set():
                yield _event(content="", tokens=[], stop=False, waiting=True)
                await self.loaded.wait()
                yield _event(content="", tokens=[], stop=False, waiting=False)
            for start in range(0, len(answer), 6):
                await asyncio.sleep(pause)
                yield _event(content=answer[start : start + 6], tokens=[1], stop=False)
                if self.breaks:
                    return
            yield _event(content="", stop=True, stop_type="eos", tokens_predicted=4, tokens_evaluated=9)
        finally:
            self.running -= 1

    async def _document(self, request: Request) -> JSONResponse:
        self.documents.append(await request.json())
        return JSONResponse({"document_known": True}, self.document_status)

    async def _ok(self, request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def _models(self, request: Request) -> JSONResponse:
        return JSONResponse({"data": [{"id": "written-down"}]})


def _event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


@asynccontextmanager
async def model_server() -> AsyncIterator[ModelServer]:
    """A running one."""
    served = ModelServer()
    server = uvicorn.Server(uvicorn.Config(served.app, port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    served.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        served.loaded.set()
        server.should_exit = True
        await task
