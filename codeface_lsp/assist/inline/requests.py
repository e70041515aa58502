"""One request in progress."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from codeface_lsp.assist.inline.memory import Entry
from codeface_lsp.assist.inline.place import Place


class Request:
    """A request that waits for its answer; a newer one of the same document supersedes it at once."""

    def __init__(self, place: Place, *, invoked: bool) -> None:
        self.place = place
        self.invoked = invoked
        self.superseded = False
        self.chosen: Entry | None = None
        """The entry that its first suggestion came from."""
        self._event = asyncio.Event()

    def supersede(self) -> None:
        """Answer with "superseded"."""
        self.superseded = True
        self._event.set()

    def wake(self) -> None:
        """Something happened that may end the wait."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until woken or time is up; True if superseded."""
        if not self.superseded:
            self._event.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, timeout_s)):
                    await self._event.wait()
        return self.superseded
