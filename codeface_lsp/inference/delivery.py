"""Deltas on their way from the generation thread to the event loop, a few at a time.

A wake-up of the event loop costs the generation thread the interpreter lock for longer than a small model takes for a
token. So the first delta goes at once, and later ones together as soon as the window is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from codeface_lsp.inference.types import Delta

WINDOW_S = 0.005
"""How long a delta may wait for the next ones: less than a frame of a screen."""

Item = Delta | BaseException


class Delivery:
    """Belongs to the generation thread, except for `queue`, where the event loop finds what was sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self.queue = asyncio.Queue[Item]()
        self._loop = loop
        self._clock = clock
        self._held: list[Item] = []
        self._flushed = self._sent = -WINDOW_S

    def send(self, item: Item) -> None:
        """Pass on an item; an error or the last delta goes at once, with everything before it.

        An item that came long after the one before it goes at once too: the next one will take as long.
        """
        now = self._clock()
        self._held.append(item)
        slow, self._sent = now - self._sent >= WINDOW_S, now
        last = isinstance(item, BaseException) or item.finish_reason is not None
        if last or slow or now - self._flushed >= WINDOW_S:
            self._flushed = now
            self.flush()

    def flush(self) -> None:
        """Pass on what waits: no item follows soon."""
        if self._held:
            held, self._held = self._held, []
            with suppress(RuntimeError):  # the loop is gone, and with it whoever was reading
                self._loop.call_soon_threadsafe(self._arrive, held)

    def _arrive(self, items: list[Item]) -> None:
        for item in items:
            self.queue.put_nowait(item)
