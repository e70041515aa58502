"""What runs for one open document: its newest request, one generation, one prefetch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from codeface_lsp.assist.inline.acceptance import Acceptance
from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.requests import Request


@dataclass(slots=True)
class Ahead:
    """The next suggestion, computed as if `accepted` were accepted already."""

    accepted: Written
    timer: asyncio.TimerHandle | None = None
    generation: Generation | None = None

    def agrees(self, text: str) -> bool:
        """Whether the text is still on the way there."""
        if self.accepted.reached(text) is not None:
            return True
        return self.generation is not None and self.generation.agrees(text)

    def stop(self) -> None:
        """Stop what runs or is about to."""
        if self.timer is not None:
            self.timer.cancel()
        if self.generation is not None:
            self.generation.stop()


@dataclass(slots=True)
class Document:
    """A generation belongs to the document, not to the request that began it. `text` is what the editor has now."""

    language: str
    text: str
    acceptance: Acceptance
    request: Request | None = None
    running: Generation | None = None
    ahead: Ahead | None = None

    def begin(self, request: Request) -> None:
        """The newest request wins: the one before is answered, and what leads elsewhere stops."""
        self.supersede()
        self.request = request
        self.text = request.place.real.text
        if self.running is not None and not self.running.serves(request.place):
            self.stop_running()

    def changed(self, text: str) -> None:
        """The editor has another text: what contradicts it stops."""
        self.text = text
        if self.running is not None and not self.running.agrees(text):
            self.stop_running()
            self.supersede()
        if self.ahead is not None and not self.ahead.agrees(text):
            self.stop_ahead()

    def serving(self, place: Place) -> Generation | None:
        """A generation that a request at `place` can wait for."""
        return next((generation for generation in self.generations() if generation.serves(place)), None)

    def generations(self) -> list[Generation]:
        """What may be running."""
        ahead = self.ahead.generation if self.ahead is not None else None
        return [generation for generation in (self.running, ahead) if generation is not None]

    def supersede(self) -> None:
        """Answer the request in progress."""
        if self.request is not None:
            self.request.supersede()

    def stop_running(self) -> None:
        """Stop the generation."""
        if self.running is not None:
            self.running.stop()
            self.running = None

    def stop_ahead(self) -> None:
        """Stop the prefetch."""
        if self.ahead is not None:
            self.ahead.stop()
            self.ahead = None

    def stop(self) -> None:
        """Answer and stop everything."""
        self.supersede()
        self.stop_running()
        self.stop_ahead()
