"""Whether a model writes for somebody who waits, for the editor's status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

NOTICEABLE_S = 0.1
"""What ends sooner is told to nobody: a status that flickers with each key says nothing."""


class Activity:
    """Tells when work has gone on for a noticeable time, and when the last of it has ended."""

    def __init__(self) -> None:
        self.on_change: Callable[[bool], None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    def follow(self, work: asyncio.Task[None]) -> None:
        """Some work began."""
        self._running.add(work)
        work.add_done_callback(self._ended)
        if self._timer is None and not self._told:
            self._timer = asyncio.get_running_loop().call_later(NOTICEABLE_S, self._tell, True)

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._running.discard(work)
        if self._running:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._told:
            self._tell(False)

    def _tell(self, working: bool) -> None:
        self._timer = None
        self._told = working
        if self.on_change is not None:
            self.on_change(working)
