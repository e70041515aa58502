"""What CodeFace sees and does, for people who want to look: context, models, status, and commands about the engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import attrs
from lsprotocol import types

from codeface_lsp.errors import CodeFaceError
from codeface_lsp.lsp import messages, status
from codeface_lsp.lsp.base import CodeFaceServer  # at run time: pygls resolves the annotations of commands

CONTEXT = "codeface/context"
MODELS = "codeface/models"
STATUS = "codeface/status"


@attrs.define
class ContextParams:
    """Parameters of `codeface/context`."""

    text_document: types.TextDocumentIdentifier
    position: types.Position


@attrs.define
class NoParams:
    """Parameters of requests that need none."""


messages.typed(CONTEXT, ContextParams)
messages.typed(MODELS, NoParams)
messages.typed(STATUS, NoParams)


def register(server: CodeFaceServer) -> None:
    """Register the handlers."""

    @server.feature(CONTEXT)
    async def context(ls: CodeFaceServer, params: ContextParams) -> dict[str, Any]:
        snapshot = ls.snapshot(params.text_document.uri)
        parts = ls.services.completer.parts(snapshot, ls.offset(snapshot, params.position))
        return dict(as_json(parts))

    @server.feature(MODELS)
    async def models(ls: CodeFaceServer, params: NoParams) -> dict[str, Any]:
        cards = await ls.services.endpoint.models()
        return {"models": [as_json(card) for card in cards]}

    @server.feature(STATUS)
    async def show_status(ls: CodeFaceServer, params: NoParams) -> dict[str, Any]:
        last = ls.services.completer.last_timings
        return {**ls.status, "lastCompletion": as_json(last) if last else None}

    @server.command("codeface.restartEngine")
    def restart_engine(ls: CodeFaceServer, *_: Any) -> None:
        ls.spawn(_restart(ls))

    @server.command("codeface.model.download")
    async def download(ls: CodeFaceServer, *arguments: Any) -> dict[str, Any]:
        """Answered when the model is on this machine; the progress tells how far it is."""
        name = _body("download", arguments)["model"]
        bar = status.ProgressBar(ls, f"CodeFace: download {name}")
        try:
            async with aclosing(ls.services.endpoint.download(name)) as events:
                async for event in events:
                    await bar.report(str(event["message"]), event["progress"])
        finally:
            bar.end()
        return {"model": name}

    for action in ("load", "unload", "default"):
        _manage(server, action)


def _body(action: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """What a command about a model was given. Raises `CodeFaceError` if it names none."""
    match arguments:
        case [str(name), *_]:
            return {"model": name}
        case [dict(given), *_] if isinstance(given.get("model"), str):
            return given
    raise CodeFaceError(f"`codeface.model.{action}` needs the name of a model as its argument.")


def _manage(server: CodeFaceServer, action: str) -> None:
    @server.command(f"codeface.model.{action}")
    def manage(ls: CodeFaceServer, *arguments: Any) -> None:
        ls.spawn(_managed(ls, action, _body(action, arguments)))


async def _managed(ls: CodeFaceServer, action: str, body: dict[str, Any]) -> None:
    bar = status.ProgressBar(ls, f"CodeFace: {action} {body['model']}")
    await bar.report("asked the engine")
    try:
        await ls.services.endpoint.manage(action, body)
    except CodeFaceError as error:
        ls.show_error(error.message)
    finally:
        bar.end()


async def _restart(ls: CodeFaceServer) -> None:
    status.send(ls, "starting", busy=True, message="The engine restarts.")
    try:
        await ls.services.endpoint.restart_engine()
    except CodeFaceError as error:
        status.send(ls, "error", message=error.message)
        ls.show_error(error.message)
    else:
        status.send(ls, "ready")


def as_json(value: Any) -> Any:
    """A dataclass as JSON values with camelCase keys."""
    if hasattr(value, "__dataclass_fields__"):
        return {messages.camel(name): as_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value
