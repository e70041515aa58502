"""One request in progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.place import Place

SOFT_DEADLINE_S = 0.12
"""After this an automatic answer takes the whole lines that are there, and the rest comes by typing along."""


class Request:
    """A request that waits for its answer; a newer one of the same document supersedes it at once.

    It has `budget_s` from its beginning, or from when the server has started and loaded what it waits for.
    """

    def __init__(self, place: Place, *, invoked: bool, budget_s: float, clock: Callable[[], float]) -> None:
        self.place = place
        self.invoked = invoked
        self.superseded = False
        self._budget_s = budget_s
        self._clock = clock
        self._event = asyncio.Event()
        self.started = clock()
        self._counted_from = self.started

    @property
    def late(self) -> bool:
        """Whether its time is up."""
        return self._clock() >= self._counted_from + self._budget_s

    @property
    def elapsed_ms(self) -> float:
        """Since it came."""
        return (self._clock() - self.started) * 1000

    def supersede(self) -> None:
        """Answer with "superseded"."""
        self.superseded = True
        self._event.set()

    def wake(self) -> None:
        """Something happened that may end the wait."""
        self._event.set()

    async def wait(self, timeout_s: float | None) -> bool:
        """Sleep until woken or time is up; True if superseded."""
        if not self.superseded:
            self._event.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
        return self.superseded

    async def follow(self, generation: Generation, *, may_show: Callable[[], bool]) -> None:
        """Wait until the generation has ended, the request is superseded, or its time is up.

        `may_show` is asked, when the soft deadline is over, whether what is there can be shown already.
        """
        soft = self._clock() + SOFT_DEADLINE_S
        generation.join(self, self.wake)
        try:
            while generation.running and not self.superseded:
                if generation.waiting:
                    await self.wait(None)
                    self._counted_from = self._clock()
                    soft = self._counted_from + SOFT_DEADLINE_S
                    continue
                now, deadline = self._clock(), self._counted_from + self._budget_s
                if now >= deadline or (now >= soft and may_show()):
                    return
                await self.wait((min(soft, deadline) if now < soft else deadline) - now)
        finally:
            generation.leave(self)
