"""The engine and the models behind the API. They come up in a thread while the API already answers `/health`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from codeface_lsp.errors import CodeFaceError, EngineError
from codeface_lsp.models.aside import aside
from codeface_lsp.serving.hub import Hub, Status
from codeface_lsp.serving.metrics import Metrics
from codeface_lsp.serving.response_cache import open_cache
from codeface_lsp.settings import Settings

if TYPE_CHECKING:
    from codeface_lsp.inference.engine import Engine
    from codeface_lsp.models.manager import ModelEvent, ModelManager
    from codeface_lsp.models.types import LoadedModel, Role
    from codeface_lsp.serving.mock import MockEngine, MockManager

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What serves requests once it is up."""

    manager: ModelManager | MockManager
    engine: Engine | MockEngine


class Control:
    """What the life of the engine's process hangs on, whatever serves in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hub = Hub()

    @property
    def server(self) -> dict[str, str] | None:
        """Address and key of somebody else's server that runs in the engine's place."""
        return None


class Core(Control):
    """Owns manager and engine for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.metrics = Metrics(self._loaded)
        self.cache = open_cache(settings.cache)
        self._parts: asyncio.Task[Parts] | None = None
        self._preload: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to come up; returns at once."""
        self._parts = asyncio.create_task(asyncio.to_thread(build, self.settings, self._tell))
        self._preload = asyncio.create_task(self._load_completion_model())

    async def parts(self) -> Parts:
        """Wait for manager and engine. Raises `EngineError` if they cannot be had."""
        if self._parts is None:
            raise EngineError("The engine was not started.", kind="not_started")
        try:
            return await asyncio.shield(self._parts)
        except ImportError as error:
            _log.exception("the engine cannot be imported")
            raise EngineError(
                f"The engine lacks a package ({error.name}); run `pip install 'codeface-lsp[local]'`.",
                kind="local_missing",
            ) from error

    def holds(self, name: str | None, role: Role) -> bool:
        """Whether a request for this model need not wait for its load."""
        return self._up is not None and self._up.manager.holds(name, role)

    @property
    def _up(self) -> Parts | None:
        """Manager and engine, None as long as (or because) they are not there."""
        parts = self._parts
        return None if parts is None or not parts.done() or parts.exception() else parts.result()

    @asynccontextmanager
    async def model(
        self, name: str | None, role: Role
    ) -> AsyncGenerator[tuple[Engine | MockEngine, LoadedModel]]:
        """Hold a loaded model for the length of a request."""
        parts = await self.parts()
        self.hub.touch()
        try:
            loaded = await parts.manager.acquire(name, role)
        except CodeFaceError as error:
            self.metrics.failed(error.kind)
            raise
        try:
            yield parts.engine, loaded
        finally:
            parts.manager.release(loaded)
            self.hub.touch()

    async def _load_completion_model(self) -> None:
        """Load what the first key needs, before the first key."""
        try:
            async with self.model(None, "completion") as (engine, loaded):
                await aside(engine.prepare, loaded)
                self.hub.publish(Status("ready", model=loaded.name))
        except CodeFaceError as error:
            self.hub.publish(Status("error", error.message))
        except Exception as error:
            _log.exception("the engine cannot start")
            self.hub.publish(
                Status("error", f"The engine failed at its start ({type(error).__name__}); see its log.")
            )

    def _loaded(self) -> Sequence[Any]:
        return self._up.manager.loaded() if self._up is not None else []

    def _tell(self, event: ModelEvent) -> None:
        """Turn what the manager says into the engine's status."""
        if event.kind in ("loading", "downloading"):
            self.hub.publish(Status("loading", event.message, event.progress, event.model))
        elif event.kind == "error":
            self.hub.publish(Status("error", event.message, model=event.model))
        else:
            self.hub.publish(Status("ready", event.message, model=event.model))

    async def aclose(self) -> None:
        """Stop the generation thread and unload everything."""
        if self._preload is not None:
            self._preload.cancel()
        await self.cache.aclose()
        if self._parts is None:
            return
        await asyncio.wait({self._parts})
        if self._parts.exception() is None:
            parts = self._parts.result()
            await asyncio.to_thread(parts.engine.close)
            await parts.manager.aclose()


def build(settings: Settings, tell: Callable[[ModelEvent], None]) -> Parts:
    """Import torch and make the parts; takes seconds, so it runs in a thread. In mock mode, the scripted ones."""
    if settings.engine.mock:
        from codeface_lsp.serving.mock import MockEngine, MockManager

        return Parts(MockManager(settings), MockEngine(settings))
    from codeface_lsp.inference.engine import Engine
    from codeface_lsp.models.manager import ModelManager

    engine = Engine(settings.engine)
    return Parts(ModelManager(settings, events=tell, on_unload=engine.forget), engine)
