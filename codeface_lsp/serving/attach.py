"""`/codeface/attach`, `/health`, `/metrics` and `/codeface/stop`: the life of the engine."""

from __future__ import annotations

import os

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp import runtime
from codeface_lsp.serving.core import Control, Core
from codeface_lsp.serving.failures import failure
from codeface_lsp.serving.metrics import CONTENT_TYPE
from codeface_lsp.serving.schema import StopAction, parse
from codeface_lsp.serving.streams import stream


async def attach(request: Request) -> Response:
    """Keep the engine alive while this stream is open, and tell what it does."""
    core: Control = request.app.state.core
    return await stream(core.hub.listen())


async def health(request: Request) -> Response:
    """Tell that the engine lives, which one it is, and what it does."""
    core: Control = request.app.state.core
    status = core.hub.status
    return JSONResponse(
        {
            "status": "ok" if status.state == "ready" else status.state,
            "message": status.message,
            "progress": status.progress,
            "model": status.model,
            "version": runtime.own_version(),
            "protocol": runtime.PROTOCOL,
            "pid": os.getpid(),
            "windows": core.hub.windows,
            "server": core.server,
        }
    )


async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    core: Core = request.app.state.core
    return Response(core.metrics.render(), media_type=CONTENT_TYPE)


async def stop(request: Request) -> Response:
    """Stop the engine; with `if_unused` only if no window is attached (409 otherwise)."""
    body = parse(StopAction, await request.body())
    core: Control = request.app.state.core
    if body.if_unused and core.hub.windows:
        return failure(409, f"{core.hub.windows} windows use the engine.", "in_use")
    request.app.state.stop()
    return JSONResponse({"stopping": True})
