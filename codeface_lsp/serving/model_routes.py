"""`GET /v1/models` and `POST /codeface/models/*`: what can be served, and loading, unloading, downloading it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from codeface_lsp.serving.core import Core
from codeface_lsp.serving.failures import ParameterError
from codeface_lsp.serving.hub import Status
from codeface_lsp.serving.schema import ModelAction, parse
from codeface_lsp.serving.streams import Events, stream

if TYPE_CHECKING:
    from codeface_lsp.models.catalogue import ModelInfo
    from codeface_lsp.models.manager import ModelManager
    from codeface_lsp.serving.mock import MockManager

_POLL_S = 0.5


async def models(request: Request) -> Response:
    """OpenAI's list: what is on this machine, the defaults of the roles first."""
    manager = (await _core(request).parts()).manager
    here = [info for info in manager.list() if info.state in ("loaded", "downloaded")]
    here.sort(key=lambda info: ("completion" not in info.default_for, not info.default_for))
    return JSONResponse({"object": "list", "data": [_card(info, manager) for info in here]})


async def model(request: Request) -> Response:
    """OpenAI's card of one model."""
    manager = (await _core(request).parts()).manager
    return JSONResponse(_card(manager.info(request.path_params["name"]), manager))


def _card(info: ModelInfo, manager: ModelManager | MockManager) -> dict[str, Any]:
    loaded = next((m for m in manager.loaded() if m.name == info.name), None)
    return {
        "id": info.name,
        "object": "model",
        "created": 0,
        "owned_by": "codeface",
        "codeface": {
            "context_tokens": info.context_length,
            "fim": loaded.family.fim.orders[0] != "none" if loaded else None,
            "chat": info.chat_trained,
            "mock": manager.settings.engine.mock,
            "min_confidence": loaded.min_confidence if loaded else None,
            "state": info.state,
            "default_for": list(info.default_for),
        },
    }


async def info(request: Request) -> Response:
    """All that is known of one model, or of every model of the registry."""
    body = parse(ModelAction, await request.body())
    manager = (await _core(request).parts()).manager
    found = [manager.info(body.model)] if body.model is not None else manager.list()
    return JSONResponse({"models": [entry.json() for entry in found]})


async def load(request: Request) -> Response:
    """Load a model for a role (or move it, with `device`), and answer when it is ready."""
    body = parse(ModelAction, await request.body())
    core = _core(request)
    async with core.model(_named(body), body.role or "completion") as (_, loaded):
        name = loaded.name
    manager = (await core.parts()).manager
    if body.device is not None:
        return JSONResponse((await manager.move(name, body.device)).json())
    return JSONResponse(manager.info(name).json())


async def unload(request: Request) -> Response:
    """Drop a model from memory, or without a name all that are not in use."""
    body = parse(ModelAction, await request.body())
    manager = (await _core(request).parts()).manager
    if body.model is None:
        await manager.unload_all()
    else:
        await manager.unload(body.model)
    return JSONResponse({"loaded": [m.name for m in manager.loaded()]})


async def default(request: Request) -> Response:
    """Serve a role with another model until the engine stops."""
    body = parse(ModelAction, await request.body())
    if body.role is None:
        raise ParameterError("`role` is missing: completion, chat or embedding.", "role")
    manager = (await _core(request).parts()).manager
    return JSONResponse(manager.set_default(_named(body), body.role).json())


async def remove(request: Request) -> Response:
    """Delete a downloaded model from the disk."""
    body = parse(ModelAction, await request.body())
    manager = (await _core(request).parts()).manager
    return JSONResponse({"freed_bytes": await manager.remove(_named(body))})


async def download(request: Request) -> Response:
    """Fetch a model from the hub, streaming progress; going away does not cancel it."""
    body = parse(ModelAction, await request.body())
    return await stream(_download(_core(request), _named(body)))


async def _download(core: Core, name: str) -> Events:
    manager = (await core.parts()).manager
    before = core.hub.status
    work = asyncio.create_task(manager.download(name))
    work.add_done_callback(lambda _: _downloaded(core, before))
    while not (await asyncio.wait({work}, timeout=_POLL_S))[0]:
        status = core.hub.status
        yield {"model": name, "message": status.message, "progress": status.progress, "done": False}
    path = str(work.result())
    yield {"model": name, "message": f"{name} is downloaded.", "progress": 1.0, "done": True, "path": path}


def _downloaded(core: Core, before: Status) -> None:
    """Say again what was before the download: nobody else ends what its progress began."""
    if core.hub.status.state == "loading":
        settled = before.state in ("ready", "error")
        core.hub.publish(before if settled else Status("ready", model=before.model))


def _named(body: ModelAction) -> str:
    if body.model is None:
        raise ParameterError("`model` is missing.", "model")
    return body.model


def _core(request: Request) -> Core:
    core: Core = request.app.state.core
    return core
