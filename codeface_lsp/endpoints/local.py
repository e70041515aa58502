"""The local engine as an endpoint: found or started on demand, found again after it died."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import SecretStr

from codeface_lsp import paths, runtime
from codeface_lsp.endpoints.codeface import CodefaceServer
from codeface_lsp.endpoints.http import ServerClient, refused_before_first_byte
from codeface_lsp.endpoints.launcher import NAME, Launcher, left
from codeface_lsp.endpoints.remote import RemoteServer
from codeface_lsp.endpoints.types import ChatRequest, Chunk, EngineEvent, InfillRequest, ModelCard
from codeface_lsp.errors import EndpointError, EndpointUnreachable
from codeface_lsp.runtime import Runtime
from codeface_lsp.settings import EndpointSettings, Settings

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ENGINE_GONE = "The engine stopped while it was answering; try again, the next request starts a new one."


class LocalEngine:
    """Delegates to the `CodefaceServer` of the engine that is alive now."""

    name = NAME

    def __init__(self, settings: Settings, launcher: Launcher | None = None) -> None:
        self._settings = settings
        self._launcher = launcher or Launcher(settings.engine)
        self._engine: CodefaceServer | None = None
        self._other: RemoteServer | None = None
        self._connecting = asyncio.Lock()
        self._connected = asyncio.Event()

    def use(self, settings: Settings) -> None:
        """Put new settings in force: models from the next request on, the interpreter from the next start on."""
        self._settings = settings
        self._launcher.settings = settings.engine
        if self._engine is not None:
            self._engine.use(settings.model.completion, settings.model.chat, settings.model.embedding)

    async def engine(self) -> CodefaceServer:
        """Return the connected engine; finds or starts it if none is known."""
        if self._engine is not None:
            return self._engine
        async with self._connecting:
            if self._engine is None:
                self._engine = self._connect(await self._launcher.ensure())
                self._connected.set()
        return self._engine

    async def server(self) -> CodefaceServer | RemoteServer:
        """Return who answers requests: the engine, or the server that runs in its place (`engine.command`)."""
        engine = await self.engine()
        if self._settings.engine.command:
            async with self._connecting:
                if self._other is None:
                    self._other = await self._supervised(engine)
        return self._other or engine

    async def _supervised(self, engine: CodefaceServer) -> RemoteServer | None:
        """Wait until the supervised server is ready; None if the engine that runs is our own."""
        deadline = time.monotonic() + self._settings.engine.start_timeout_s
        while True:
            health = await engine.health(timeout_s=5)
            if not health.get("server"):
                return None
            if health["status"] == "error":
                raise EndpointUnreachable(str(health["message"]), kind="engine_start")
            if health["status"] == "ok":
                break
            if time.monotonic() > deadline:
                raise EndpointUnreachable(
                    f"The server of `engine.command` was not ready within "
                    f"{self._settings.engine.start_timeout_s:.0f} s; see {paths.log_dir()}.",
                    kind="engine_start",
                )
            await asyncio.sleep(0.1)
        told = health["server"]
        name = Path(self._settings.engine.command[0]).name
        return RemoteServer(EndpointSettings(name=name, url=told["url"], api_key=SecretStr(told["key"])))

    def _connect(self, found: Runtime) -> CodefaceServer:
        model = self._settings.model
        return CodefaceServer(
            ServerClient(NAME, found.url, api_key=found.token, timeout_s=60),
            model=model.completion,
            chat_model=model.chat,
            embedding_model=model.embedding,
            local=True,
        )

    async def lost(self, server: CodefaceServer | RemoteServer) -> None:
        """Forget a server that went away; the next request finds or starts another."""
        if server in (self._engine, self._other):
            gone = (self._engine, self._other)
            self._engine = self._other = None
            self._connected.clear()
            for one in gone:
                if one is not None:
                    await one.aclose()

    def infill(self, request: InfillRequest) -> AsyncGenerator[Chunk]:
        """Stream a completion at the cursor."""
        return self._stream(lambda server: server.infill(request))

    def chat(self, request: ChatRequest) -> AsyncGenerator[Chunk]:
        """Stream the answer to a conversation."""
        return self._stream(lambda server: server.chat(request))

    async def _stream(
        self, ask: Callable[[CodefaceServer | RemoteServer], AsyncGenerator[Chunk]]
    ) -> AsyncGenerator[Chunk]:
        """Refused before the first byte: one retry with a fresh start. Broken later: an error, never a repetition."""
        for attempt in (1, 2):
            if self._engine is None:
                yield Chunk(waiting=True)
                await self.server()
                yield Chunk()
            server = await self.server()
            heard = False
            try:
                async with aclosing(ask(server)) as chunks:
                    async for chunk in chunks:
                        heard = heard or chunk.says_something
                        yield chunk
                return
            except EndpointUnreachable as error:
                if error.kind == "endpoint_timeout":
                    raise
                await self.lost(server)
                if heard or not refused_before_first_byte(error):
                    raise EndpointUnreachable(ENGINE_GONE, kind="engine_gone") from error
                if attempt == 2:
                    raise

    async def _ask(self, ask: Callable[[CodefaceServer | RemoteServer], Awaitable[_T]]) -> _T:
        server = await self.server()
        try:
            return await ask(server)
        except EndpointUnreachable as error:
            if error.kind == "endpoint_timeout":
                raise
            await self.lost(server)
        return await ask(await self.server())

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Embed texts."""
        return await self._ask(lambda server: server.embed(texts))

    async def models(self) -> list[ModelCard]:
        """List the registry and what else is loaded."""
        return await self._ask(lambda server: server.models())

    async def count_tokens(self, text: str) -> int:
        """Count tokens of the chat model."""
        return await self._ask(lambda server: server.count_tokens(text))

    async def manage(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Model management, see `CodefaceServer.manage`."""
        return await (await self.engine()).manage(action, body)

    async def download(self, model: str) -> AsyncGenerator[dict[str, Any]]:
        """Model download, see `CodefaceServer.download`."""
        engine = await self.engine()
        async with aclosing(engine.download(model)) as events:
            async for event in events:
                yield event

    async def attach(self) -> AsyncGenerator[EngineEvent]:
        """Start the engine (unless `engine.autostart` is off) and hold it alive, for as long as this iterator lives.

        After the engine went away it yields `stopped` and waits for a request to start the next one: an engine
        that dies at once must not be started in a loop.
        """
        start = self._settings.engine.autostart
        if start:
            yield EngineEvent("starting", "The engine starts.")
        else:
            yield EngineEvent("ready", "The first request starts the engine.")
        while True:
            try:
                if not start:
                    await self._connected.wait()
                engine = await self.engine()
            except EndpointError as error:
                yield EngineEvent("error", error.message)
                start = False
                continue
            try:
                async with aclosing(engine.attach()) as events:
                    async for event in events:
                        yield event
            except EndpointError as error:
                _log.debug("detached: %s", error)
            await self.lost(engine)
            start = False
            yield EngineEvent("stopped", "The engine stopped; the next request starts it again.")

    async def restart(self) -> None:
        """Stop the engine, for every window, and start a new one."""
        engine, running = await self.engine(), runtime.read()
        try:
            await engine.client.post("/codeface/stop", {}, timeout_s=10)
        except EndpointUnreachable:
            _log.debug("engine was gone already")
        await self.lost(engine)
        if running is not None:
            await left(running)
        await self.engine()

    async def aclose(self) -> None:
        """Close the connections; the engine itself stays for other windows and stops when idle."""
        for server in (self._engine, self._other):
            if server is not None:
                await server.aclose()
        self._engine = self._other = None
