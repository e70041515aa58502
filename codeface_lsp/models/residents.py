"""The models in memory: who uses them, and which goes first when room is needed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from codeface_lsp.models.registry import ModelEntry
from codeface_lsp.models.types import LoadedModel

Key = tuple[str, str, bool]
"""Name, where it came from, and whether it was loaded for embedding: completion and chat share the weights."""


def source_of(entry: ModelEntry) -> str:
    """What tells two models of the same name apart (two folders `checkpoint-100`)."""
    return str(entry.local.resolve()) if entry.local is not None else entry.model_name


def key_of(entry: ModelEntry, *, embeds: bool) -> Key:
    """Under which a model is held."""
    return (entry.name, source_of(entry), embeds)


@dataclass(slots=True)
class Resident:
    """A model in memory, by how many requests it is used, and since when by none."""

    entry: ModelEntry
    loaded: LoadedModel
    users: int = 0
    last_used: float = field(default_factory=time.monotonic)


class Residents:
    """Event-loop thread only."""

    def __init__(self) -> None:
        self._held: dict[Key, Resident] = {}
        self._waiting: Counter[Key] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> LoadedModel | None:
        """The model held under a key."""
        resident = self._held.get(key)
        return resident.loaded if resident is not None else None

    def add(self, key: Key, entry: ModelEntry, loaded: LoadedModel) -> None:
        """Hold a model that was just loaded."""
        self._held[key] = Resident(entry, loaded)

    def pop(self, key: Key) -> LoadedModel:
        """Let go of a model."""
        return self._held.pop(key).loaded

    def use(self, loaded: LoadedModel) -> None:
        """A request begins to use a model."""
        for resident in self._of(loaded):
            resident.users += 1
            resident.last_used = time.monotonic()

    def release(self, loaded: LoadedModel) -> None:
        """A request is done with a model."""
        for resident in self._of(loaded):
            resident.users = max(0, resident.users - 1)
            resident.last_used = time.monotonic()

    @contextmanager
    def awaited(self, key: Key) -> Iterator[None]:
        """A request waits for a model, which is not idle then although nobody uses it yet."""
        self._waiting[key] += 1
        try:
            yield
        finally:
            self._waiting[key] -= 1

    def idle(self, key: Key) -> bool:
        """Whether nobody uses a model or waits for it."""
        return not self._held[key].users and not self._waiting[key]

    def all(self, *, idle_for: float | None = None) -> list[Key]:
        """Keys of all models, or of those that were idle for so many seconds."""
        now = time.monotonic()
        if idle_for is None:
            return list(self._held)
        return [k for k, r in self._held.items() if self.idle(k) and now - r.last_used >= idle_for]

    def named(self, name: str, entry: ModelEntry | None) -> list[Key]:
        """Keys of the models that a name means; `entry` is what the registry says of it, if it knows it."""
        meant = None if entry is None else key_of(entry, embeds=False)[:2]
        return [key for key, r in self._held.items() if name in (key[0], r.loaded.name) or key[:2] == meant]

    def entry(self, key: Key) -> ModelEntry:
        """The entry that a model was loaded from."""
        return self._held[key].entry

    def models(self) -> list[LoadedModel]:
        """All models, most recently used first."""
        return [r.loaded for r in sorted(self._held.values(), key=lambda r: -r.last_used)]

    def next_to_go(self, keep: Callable[[ModelEntry], bool]) -> Key | None:
        """The idle model unused for longest; one that `keep` says yes to goes only when no other is left."""
        idle = [(keep(r.entry), r.last_used, key) for key, r in self._held.items() if self.idle(key)]
        return min(idle)[2] if idle else None

    def _of(self, loaded: LoadedModel) -> Iterator[Resident]:
        return (resident for resident in self._held.values() if resident.loaded is loaded)
