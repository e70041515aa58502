"""What the engine is doing, told to every window that is attached; and when the last of them left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Any, Literal

_KEPT = 64

State = Literal["starting", "loading", "ready", "error"]


@dataclass(frozen=True, slots=True)
class Status:
    """One state of the engine; `progress` is the share done, None when unknown."""

    state: State
    message: str = ""
    progress: float | None = None
    model: str = ""

    def json(self) -> dict[str, Any]:
        """As it is sent."""
        return asdict(self)


class Hub:
    """Keeps the current status and the attached windows. Event-loop thread only."""

    def __init__(self) -> None:
        self.status = Status("starting", "The engine starts.")
        self._listeners: set[asyncio.Queue[Status]] = set()
        self._last_left = time.monotonic()

    @property
    def windows(self) -> int:
        """How many windows are attached."""
        return len(self._listeners)

    def idle_s(self) -> float:
        """Seconds since the last window left (or since the start), 0 while one is attached."""
        return 0.0 if self._listeners else time.monotonic() - self._last_left

    def touch(self) -> None:
        """A request came from a client that is not attached (an OpenAI client, a shell)."""
        self._last_left = time.monotonic()

    def publish(self, status: Status) -> None:
        """Tell everybody; a listener that lags loses the oldest."""
        self.status = status
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(status)

    async def listen(self) -> AsyncGenerator[dict[str, Any]]:
        """Yield the current status and every later one; counts as a window while it is open."""
        queue: asyncio.Queue[Status] = asyncio.Queue(_KEPT)
        queue.put_nowait(self.status)
        self._listeners.add(queue)
        try:
            while True:
                yield (await queue.get()).json()
        finally:
            self._listeners.discard(queue)
            self._last_left = time.monotonic()
