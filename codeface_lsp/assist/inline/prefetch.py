"""The next suggestion, computed while the reader reads this one: as if it were accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.document import Ahead, Document
from codeface_lsp.assist.inline.finder import Finder
from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.writer import Writer

DELAY_S = 0.05


class Prefetcher:
    """Begins prefetches; a document has one at a time, and it stops when the text goes another way."""

    def __init__(self, writer: Writer, finder: Finder, silent: Callable[[Place], object]) -> None:
        """`silent` tells of a place whether nothing would be suggested there."""
        self._writer = writer
        self._finder = finder
        self._silent = silent

    def plan(self, document: Document, place: Place, shown: Written) -> None:
        """Begin soon, unless that is planned already."""
        if document.ahead is not None and document.ahead.accepted == shown:
            return
        document.stop_ahead()
        ahead = document.ahead = Ahead(shown)
        loop = asyncio.get_running_loop()
        ahead.timer = loop.call_later(DELAY_S, self._begin, document, ahead, place)

    def _begin(self, document: Document, ahead: Ahead, place: Place) -> None:
        if document.request is not None or (document.running is not None and document.running.running):
            return
        shown = ahead.accepted
        accepted = replace(place.snapshot, text=shown.result)
        after = Place(accepted, len(shown.prefix) + len(shown.text), place.real)
        if self._finder.known(after) or self._silent(after):
            return
        generation = ahead.generation = self._writer.begin(after, prefetch=True)
        generation.join(generation, lambda: self._ended(ahead, generation))

    def _ended(self, ahead: Ahead, generation: Generation) -> None:
        if not generation.running:
            self._finder.remember(generation, prefetched=True)
            if ahead.generation is generation:
                ahead.generation = None
