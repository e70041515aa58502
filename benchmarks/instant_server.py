"""A model server that answers at once: `/infill` as llama-server streams it, and `/echo` as the floor of the hop.

Run as `python -m benchmarks.instant_server PORT`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

FINAL = {"content": "", "stop": True, "stop_type": "eos", "tokens_predicted": 3, "tokens_evaluated": 9}


async def infill(request: Request) -> StreamingResponse:
    await request.json()

    async def events() -> AsyncIterator[str]:
        yield f"data: {json.dumps({'content': 'value', 'tokens': [1], 'stop': False})}\n\n"
        yield f"data: {json.dumps(FINAL)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def echo(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"content": "value"})


async def ok(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "data": [{"id": "instant"}]})


app = Starlette(
    routes=[
        Route("/infill", infill, methods=["POST"]),
        Route("/echo", echo, methods=["POST"]),
        Route("/health", ok),
        Route("/v1/models", ok),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
