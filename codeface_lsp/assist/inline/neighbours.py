"""The files next to the one that is typed in, read while nobody waits for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from cachetools import LRUCache

from codeface_lsp.assist.inline.types import ContextSource
from codeface_lsp.endpoints.types import Neighbours
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.neighbours import NeighbourTexts

FRESH_S = 60.0
"""So long what was read counts while one stays in a document and nothing happens in others."""
_DOCUMENTS = 32


class Neighbourhood:
    """Knows the neighbours of the documents that were typed in last. Event-loop thread only."""

    def __init__(self, workspace: ContextSource, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace = workspace
        self._clock = clock
        self._texts = NeighbourTexts()
        self._known: LRUCache[str, Neighbours] = LRUCache(_DOCUMENTS)
        self._current: tuple[str, float] = ("", 0.0)
        self._reading: asyncio.Task[None] | None = None

    def of(self, snapshot: Snapshot) -> Neighbours | None:
        """What is known of a document's neighbours; where that is old or nothing, they are read for the next time."""
        uri, read_at = self._current
        stale = uri != snapshot.uri or self._clock() - read_at > FRESH_S
        if stale and (self._reading is None or self._reading.done()):
            self._current = (snapshot.uri, self._clock())
            self._reading = asyncio.get_running_loop().create_task(self._read(snapshot))
        return self._known.get(snapshot.uri)

    def happened(self, uri: str) -> None:
        """A document was opened, changed or closed: another one's neighbours may be others now."""
        if uri != self._current[0]:
            self._current = ("", 0.0)

    async def _read(self, snapshot: Snapshot) -> None:
        nearest = self._workspace.neighbours(snapshot)
        texts = await asyncio.to_thread(self._texts.read, nearest) if nearest else {}
        known = self._known.get(snapshot.uri)
        if texts != (known.texts if known is not None else {}):
            self._known[snapshot.uri] = Neighbours(texts)

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
