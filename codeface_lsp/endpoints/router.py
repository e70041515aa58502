"""Which server answers: by role, the next in turn, another when one fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from typing import Any, Protocol

from codeface_lsp.endpoints.local import LocalEngine
from codeface_lsp.endpoints.remote import RemoteServer
from codeface_lsp.endpoints.types import ChatRequest, Chunk, EngineEvent, InfillRequest, ModelCard
from codeface_lsp.errors import EndpointBusy, EndpointError, EndpointRejected, EndpointUnreachable
from codeface_lsp.settings import ServedRole, Settings

_log = logging.getLogger(__name__)


class Server(Protocol):
    """What a router needs of a server; `LocalEngine` and every dialect have it."""

    name: str

    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream a completion."""
        ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream an answer."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        ...

    async def models(self) -> list[ModelCard]:
        """List models."""
        ...

    async def count_tokens(self, text: str) -> int:
        """Count tokens."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


class Router:
    """An `Endpoint` over one or several servers. `engine` is the local one, None if endpoints are configured."""

    def __init__(
        self, servers: Mapping[ServedRole, Sequence[Server]], engine: LocalEngine | None = None
    ) -> None:
        """`servers` lists, per role, who may be asked."""
        self._servers = servers
        self._turns: dict[ServedRole, int] = {}
        self._retired: list[Server] = []
        self._replaced = asyncio.Event()
        self.engine = engine

    def use(self, settings: Settings) -> None:
        """Put new settings in force; what streams goes on with the old ones."""
        if self.engine is not None and not settings.endpoints:
            self.engine.use(settings)
            return
        self._retired += self._all()
        self._servers, self.engine = _servers(settings)
        self._replaced.set()

    def _in_turn(self, role: ServedRole) -> list[Server]:
        """Servers of a role, starting with the next in turn. Raises `EndpointRejected` if there is none."""
        servers = list(self._servers.get(role, ()))
        if not servers:
            raise EndpointRejected(
                f"No endpoint serves {role}; add `{role}` to the `roles` of one in `endpoints`.", status=404
            )
        turn = self._turns.get(role, 0) % len(servers)
        self._turns[role] = turn + 1
        return servers[turn:] + servers[:turn]

    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream a completion at the cursor."""
        return self._stream("completion", lambda server: server.infill(request))

    def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream the answer to a conversation."""
        return self._stream("chat", lambda server: server.chat(request))

    async def _stream(
        self, role: ServedRole, ask: Callable[[Server], AsyncGenerator[Chunk]]
    ) -> AsyncGenerator[Chunk]:
        servers = self._in_turn(role)
        for position, server in enumerate(servers):
            heard = False
            try:
                async with aclosing(ask(server)) as chunks:
                    async for chunk in chunks:
                        heard = heard or chunk.says_something
                        yield chunk
                return
            except EndpointError as error:
                if heard or position == len(servers) - 1 or not _another_may_do(error):
                    raise
                _log.warning("%s failed (%s), asking the next", server.name, error.kind)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts; raises `EndpointRejected` where no embedding model is served."""
        servers = self._in_turn("embedding")
        for server in servers[:-1]:
            try:
                return await server.embed(texts)
            except EndpointError as error:
                if not _another_may_do(error):
                    raise
                _log.warning("%s failed (%s), asking the next", server.name, error.kind)
        return await servers[-1].embed(texts)

    async def models(self) -> list[ModelCard]:
        """List what all servers serve; one that does not answer is left out unless all fail."""
        cards: dict[str, ModelCard] = {}
        failed: EndpointError | None = None
        for server in self._all():
            try:
                cards |= {card.id: card for card in await server.models()}
            except EndpointError as error:
                failed = error
        if failed is not None and not cards:
            raise failed
        return list(cards.values())

    async def count_tokens(self, text: str) -> int:
        """Count tokens of the chat model."""
        return await self._in_turn("chat")[0].count_tokens(text)

    async def attach(self) -> AsyncGenerator[EngineEvent]:
        """Yield the state of what answers, for as long as this iterator lives; starts the local engine.

        Endpoints of the user's own are asked once. Goes on with whatever new settings bring.
        """
        while True:
            self._replaced.clear()
            events = self._probe() if self.engine is None else self.engine.attach()
            async with aclosing(until(events, self._replaced)) as current:
                async for event in current:
                    yield event
            await self._replaced.wait()

    async def _probe(self) -> AsyncGenerator[EngineEvent]:
        try:
            cards = await self.models()
        except EndpointError as error:
            yield EngineEvent("error", error.message)
        else:
            yield EngineEvent("ready", model=cards[0].id if cards else "")

    async def manage(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Load, unload, default or info of a model; only the local engine can."""
        return await self._own_engine().manage(action, body)

    def download(self, model: str) -> AsyncGenerator[dict[str, Any]]:
        """Download a model into the local engine's cache, yielding progress."""
        return self._own_engine().download(model)

    async def restart_engine(self) -> None:
        """Stop the local engine and start a new one."""
        await self._own_engine().restart()

    def _own_engine(self) -> LocalEngine:
        if self.engine is None:
            raise EndpointRejected(
                "Models of configured `endpoints` are managed on their servers, not by CodeFace.", status=404
            )
        return self.engine

    def _all(self) -> list[Server]:
        unique: dict[int, Server] = {}
        for servers in self._servers.values():
            unique |= {id(server): server for server in servers}
        return list(unique.values())

    async def aclose(self) -> None:
        """Close all connections."""
        for server in (*self._all(), *self._retired):
            await server.aclose()


async def until(events: AsyncGenerator[EngineEvent], over: asyncio.Event) -> AsyncGenerator[EngineEvent]:
    """Yield `events` until they end or `over` is set."""
    ending = asyncio.create_task(over.wait())
    following: asyncio.Task[EngineEvent] | None = None
    try:
        while True:
            following = asyncio.create_task(_next(events))
            await asyncio.wait({following, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        ending.cancel()
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncGenerator[EngineEvent]) -> EngineEvent:
    return await anext(events)


def _another_may_do(error: EndpointError) -> bool:
    """A broken, busy or failing server leaves it to the next; a bad request is bad everywhere."""
    if isinstance(error, EndpointUnreachable | EndpointBusy):
        return True
    return isinstance(error, EndpointRejected) and (error.status >= 500 or error.status in (401, 403, 404))


def open_endpoint(settings: Settings) -> Router:
    """Return the endpoint that the settings describe; opens no connection and starts nothing yet."""
    return Router(*_servers(settings))


def _servers(settings: Settings) -> tuple[dict[ServedRole, list[Server]], LocalEngine | None]:
    """Servers by role; completion and chat that no endpoint serves stay with the local engine, if it can run."""
    if not settings.endpoints:
        engine = LocalEngine(settings)
        return {"completion": [engine], "chat": [engine], "embedding": [engine]}, engine
    servers: dict[ServedRole, list[Server]] = {}
    for endpoint in settings.endpoints:
        server = RemoteServer(endpoint)
        for role in endpoint.roles:
            servers.setdefault(role, []).append(server)
    unserved: list[ServedRole] = [role for role in _ESSENTIAL if role not in servers]
    if not unserved or not _engine_can_run(settings):
        return servers, None
    engine = LocalEngine(settings)
    return servers | {role: [engine] for role in unserved}, engine


_ESSENTIAL: tuple[ServedRole, ...] = ("completion", "chat")


def _engine_can_run(settings: Settings) -> bool:
    engine = settings.engine
    return bool(engine.python or engine.command or engine.mock or find_spec("torch"))
