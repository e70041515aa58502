"""Owns the models in memory: loads each once, keeps roles side by side, unloads what is idle or in the way.

Everything here runs on the event loop; loads and downloads run in threads. A load belongs to nobody: whoever asks for
the model waits for the same task, and going away does not cancel it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from codeface_lsp.errors import InvalidRequest, ModelLoadError
from codeface_lsp.models import catalogue, hub, memory, placement, plan, registry
from codeface_lsp.models.aside import aside
from codeface_lsp.models.catalogue import ModelInfo
from codeface_lsp.models.downloads import Downloads
from codeface_lsp.models.loader import load
from codeface_lsp.models.registry import ModelEntry, Registry
from codeface_lsp.models.residents import Key, Residents, key_of, source_of
from codeface_lsp.models.types import LoadedModel, Role
from codeface_lsp.settings import Settings

log = logging.getLogger(__name__)

ROLES: tuple[Role, ...] = ("completion", "chat", "embedding")
_POLL_S = 0.2
_WORTH_PROGRESS = 256 * 1024 * 1024
"""Smaller models load before a bar is read, and importing torch takes more memory than they do."""


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """Something that the user may want to see; `progress` is the share done, None when unknown."""

    kind: Literal["downloading", "loading", "loaded", "unloaded", "notice", "error"]
    model: str
    message: str
    progress: float | None = None


class ModelManager:
    """The models of one engine. Construct it anywhere; call it from one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        models: Registry | None = None,
        events: Callable[[ModelEvent], None] | None = None,
        on_unload: Callable[[LoadedModel], None] | None = None,
    ) -> None:
        """`events` hears of loads, downloads and notices; `on_unload` lets go of a model's KV before it leaves."""
        memory.few_arenas()
        self.settings = settings
        self.registry = models or registry.read()
        self.events = events
        self.on_unload = on_unload
        self.defaults: dict[Role, str | None] = {role: getattr(settings.model, role) for role in ROLES}
        self._held = Residents()
        self._loads: dict[Key, asyncio.Task[LoadedModel]] = {}
        self._downloads = Downloads(partial(self._tell, "downloading"))
        self._one_load: asyncio.Lock | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def acquire(self, name: str | None, role: Role) -> LoadedModel:
        """The model `name` (None: the role's default), loaded if need be; call `release` when done with it.

        Falls back along the entry's chain with a notice. Raises `ModelLoadError` when nothing of it can be had.
        """
        wanted = name or self.defaults[role]
        if wanted is None:
            raise ModelLoadError(
                f"No {role} model is set; set `model.{role}` to a registry name, a hub id or a folder.",
                kind="no_model",
            )
        entry = self.registry.find(wanted)
        chain = [entry, *(self.registry.find(other) for other in entry.fallback)]
        for position, candidate in enumerate(chain):
            try:
                return self._use(await self._load_once(candidate, role))
            except ModelLoadError as error:
                if position + 1 == len(chain):
                    self._tell("error", entry.name, error.message)
                    raise
                following = chain[position + 1].name
                self._tell("notice", candidate.name, f"{error.message} Using {following} instead.")
        raise AssertionError("unreachable")

    def holds(self, name: str | None, role: Role) -> bool:
        """Whether `acquire` would find the model loaded; an unknown one it does not."""
        wanted = name or self.defaults[role]
        try:
            entry = self.registry.find(wanted) if wanted is not None else None
        except ModelLoadError:
            entry = None
        return entry is not None and self._held.get(key_of(entry, embeds=role == "embedding")) is not None

    def release(self, model: LoadedModel) -> None:
        """Say that a request is done with a model."""
        self._held.release(model)

    def loaded(self) -> list[LoadedModel]:
        """The models in memory, most recently used first."""
        return self._held.models()

    def list(self) -> list[ModelInfo]:
        """Every registry entry, and what else is loaded."""
        entries = list(self.registry.entries.values())
        others = [self._held.entry(key) for key in self._held.all() if key[0] not in self.registry.entries]
        return [self._describe(entry) for entry in (*entries, *others)]

    def info(self, name: str) -> ModelInfo:
        """What is known of one model. Raises `ModelLoadError` for an unknown name."""
        held = [key for key in self._keys_of(name) if key[0] not in self.registry.entries]
        return self._describe(self._held.entry(held[0]) if held else self.registry.find(name))

    def set_default(self, name: str, role: Role) -> ModelInfo:
        """Serve `role` with `name` from now on (until the engine stops; settings hold it for longer)."""
        entry = self.registry.find(name)
        if role not in entry.roles:
            raise InvalidRequest(
                f"{entry.name} serves {', '.join(entry.roles)}, not {role}; choose another model."
            )
        self.defaults[role] = name
        return self._describe(entry)

    async def unload(self, name: str) -> None:
        """Drop a model from memory. Raises `InvalidRequest` while it answers a request or if it is not loaded."""
        for key in self._idle_keys_of(name):
            await self._drop(key, "unloaded")

    async def unload_all(self) -> None:
        """Drop every model that is not in use."""
        for key in self._held.all(idle_for=0):
            await self._drop(key, "unloaded")

    async def move(self, name: str, device: str) -> ModelInfo:
        """Load a model anew on another device, and let the old one go once that worked.

        Raises `ModelLoadError` if it cannot go there; it goes on serving where it is then.
        """
        target = placement.pick_device(device)
        for key in self._idle_keys_of(name):
            model, entry = self._held.get(key), self._held.entry(key)
            if model is None or model.device == target:
                continue
            options = replace(plan.options_of(entry), device=str(target))
            with self._held.awaited(key):
                fresh = await aside(load, Path(model.source), model.role, self.settings.engine, options)
            self._let_go(key)
            self._held.add(key, entry, fresh)
        await asyncio.to_thread(memory.give_back)
        return self.info(name)

    async def download(self, name: str) -> Path:
        """Fetch a model from the hub, joined by whoever else asks; returns its folder."""
        entry = self.registry.find(name)
        if entry.local is not None:
            return entry.local
        return await self._downloads.fetch(entry)

    async def remove(self, name: str) -> int:
        """Delete a downloaded model from the disk; returns the bytes freed. Raises `ModelLoadError`."""
        entry = self.registry.find(name)
        if entry.local is not None:
            raise InvalidRequest(f"{name} is a folder of yours; delete {entry.local} yourself.")
        if self._keys_of(name):
            await self.unload(name)
        return await asyncio.to_thread(hub.remove, entry.model_name)

    async def aclose(self) -> None:
        """Stop watching and let every model go."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for key in self._held.all():
            self._let_go(key)

    def _keys_of(self, name: str) -> Sequence[Key]:
        """Keys of the loaded models that a name means."""
        try:
            entry = self.registry.find(name)
        except ModelLoadError:
            entry = None
        return self._held.named(name, entry)

    def _idle_keys_of(self, name: str) -> Sequence[Key]:
        keys = self._keys_of(name)
        if not keys:
            raise InvalidRequest(f"{name} is not loaded; `codeface models list` shows what is.")
        if not all(self._held.idle(key) for key in keys):
            raise InvalidRequest(f"{name} is answering a request; cancel that one first, or wait.")
        return keys

    def _describe(self, entry: ModelEntry) -> ModelInfo:
        held = [self._held.get(key_of(entry, embeds=embeds)) for embeds in (False, True)]
        loaded = next((model for model in held if model is not None), None)
        return catalogue.describe(entry, loaded=loaded, default_for=self._serves(entry))

    def _serves(self, entry: ModelEntry) -> Sequence[Role]:
        """The roles whose default a model is."""
        return [role for role, name in self.defaults.items() if name and self._means(name, entry)]

    def _means(self, name: str, entry: ModelEntry) -> bool:
        try:
            found = self.registry.find(name)
        except ModelLoadError:
            return False
        return source_of(found) == source_of(entry) and found.name == entry.name

    def _use(self, loaded: LoadedModel) -> LoadedModel:
        self._held.use(loaded)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())
        return loaded

    async def _load_once(self, entry: ModelEntry, role: Role) -> LoadedModel:
        key = key_of(entry, embeds=role == "embedding")
        held = self._held.get(key)
        if held is not None:
            return held
        task = self._loads.get(key)
        if task is None:
            task = asyncio.create_task(self._load(key, entry, role))
            self._loads[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        with self._held.awaited(key):
            return await asyncio.shield(task)

    def _finished(self, key: Key, task: asyncio.Task[LoadedModel]) -> None:
        self._loads.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            log.info("load of %s failed: %s", key[0], task.exception())

    async def _load(self, key: Key, entry: ModelEntry, role: Role) -> LoadedModel:
        """Make room, load in a thread, tell of the progress. One load at a time, so that memory can be counted."""
        self._one_load = self._one_load or asyncio.Lock()
        async with self._one_load:
            folder = await self._folder(entry)
            options = plan.options_of(entry)
            needed, device = await asyncio.to_thread(plan.estimate, folder, self.settings, options)
            await self._make_room(entry, needed, device)
            self._tell("loading", entry.name, f"Loading {entry.name}.", 0.0)
            work = asyncio.create_task(aside(load, folder, role, self.settings.engine, options))
            before = memory.taken_bytes(device)
            try:
                while not (await asyncio.wait([work], timeout=_POLL_S))[0]:
                    if needed > _WORTH_PROGRESS:
                        share = (memory.taken_bytes(device) - before) / needed
                        progress = min(max(share, 0.0), 0.99)
                        self._tell("loading", entry.name, f"Loading {entry.name}.", progress)
                loaded = work.result()
            except ModelLoadError:
                await asyncio.to_thread(memory.give_back)
                raise
            self._held.add(key, entry, loaded)
            how = " (GGUF, dequantised: llama-server serves it as it is)" if folder.suffix == ".gguf" else ""
            self._tell("loaded", entry.name, f"{entry.name} is ready on {loaded.device}{how}.", 1.0)
            return loaded

    async def _folder(self, entry: ModelEntry) -> Path:
        if entry.local is not None:
            return entry.local
        folder = await asyncio.to_thread(hub.local_folder, entry.model_name, entry.revision)
        path = folder / entry.gguf_file if folder and entry.gguf_file else folder
        if self._serves(entry) and not await asyncio.to_thread(plan.is_whole, path):
            return await self.download(entry.name)
        if path is not None:
            return path
        size = f" ({entry.size_gb:g} GB)" if entry.size_gb else ""
        raise ModelLoadError(
            f"{entry.name} is not on this machine{size}; fetch it with `codeface models download {entry.name}`.",
            kind="not_downloaded",
        )

    async def _make_room(self, entry: ModelEntry, needed: int, device: str) -> None:
        """Unload idle models, oldest first and defaults of a role last, until the new one fits in count and memory."""
        limits = self.settings.engine
        target = placement.pick_device(device)
        if needed > placement.total_bytes(target):
            return

        def too_full() -> bool:
            share = memory.used_share(target) + needed / placement.total_bytes(target)
            return share > limits.memory_threshold

        while len(self._held) >= limits.max_cached_models:
            victim = self._next_to_go()
            if victim is None:
                raise ModelLoadError(
                    f"All {len(self._held)} models in memory are in use; "
                    "wait, or raise engine.max_cached_models.",
                    kind="all_in_use",
                )
            await self._drop(victim, f"unloaded to make room for {entry.name}")
        while too_full() and (victim := self._next_to_go()) is not None:
            await self._drop(victim, f"unloaded to make room for {entry.name}")

    def _next_to_go(self) -> Key | None:
        return self._held.next_to_go(lambda entry: bool(self._serves(entry)))

    async def _drop(self, key: Key, why: str) -> None:
        self._let_go(key)
        await asyncio.to_thread(memory.give_back)
        self._tell("unloaded", key[0], f"{key[0]} was {why}.")

    def _let_go(self, key: Key) -> None:
        model = self._held.pop(key)
        if self.on_unload is not None:
            self.on_unload(model)
        model.model = None

    async def _sweep(self) -> None:
        """Unload what was idle for `idle_unload_minutes`; ends when nothing is loaded."""
        limit = self.settings.engine.idle_unload_minutes * 60
        while len(self._held):
            await asyncio.sleep(min(max(limit / 4, 0.05), 30))
            for key in self._held.all(idle_for=limit):
                await self._drop(key, "unloaded because nobody used it")

    def _tell(
        self,
        kind: Literal["downloading", "loading", "loaded", "unloaded", "notice", "error"],
        model: str,
        message: str,
        progress: float | None = None,
    ) -> None:
        if kind == "notice":
            log.warning("%s", message)
        if self.events is not None:
            self.events(ModelEvent(kind, model, message, progress))
