"""Finds suggestions for a request: known ones, what a generation writes that it can join, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codeface_lsp.assist.inline.anchors import Rest
from codeface_lsp.assist.inline.document import Document
from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.memory import Entry, SuggestionMemory
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.requests import Request
from codeface_lsp.assist.inline.types import Origin
from codeface_lsp.assist.inline.writer import Writer


@dataclass(frozen=True, slots=True)
class Hit:
    """What is left of an entry at a request's place."""

    entry: Entry
    rest: Rest
    origin: Origin

    def fits(self, place: Place) -> bool:
        """Whether there is something to show; the protocol wants a selected item's own range."""
        return bool(self.rest.text) and (place.selected is None or self.rest.end == place.offset)


class Finder:
    """The suggestions of all documents: those known and those being written."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.memory = SuggestionMemory()

    def known(self, place: Place) -> list[Hit]:
        """What was found before and the text still follows; the newest first, alternatives last."""
        found = self.memory.find(place.snapshot.uri, place.text, place.offset)
        return [Hit(entry, rest, entry.origin) for entry, rest in found]

    async def one(self, document: Document, request: Request) -> tuple[list[Hit], str]:
        """Wait for a generation that serves the place; one that ends too early is followed by another.

        Returns what was found and the outcome for the statistics. Raises `EndpointError`.
        """
        generation = document.serving(request.place)
        hit = await self._followed(request, generation, "joined") if generation is not None else None
        if hit is None and not request.superseded and not request.late:
            generation = self._begin(document, request.place)
            hit = await self._followed(request, generation, "engine")
        if request.superseded:
            return [], "superseded"
        if hit is not None:
            return ([hit] if hit.fits(request.place) else []), hit.origin
        return [], "empty" if generation is not None and generation.end else "late"

    async def several(
        self, document: Document, request: Request, known: Sequence[Hit], wanted: int
    ) -> tuple[list[Hit], str]:
        """Distinct suggestions: those known, the likeliest, then sampled ones, within the time budget."""
        found: dict[str, Hit] = {}
        _collect(found, known, request.place)
        if not found:
            _collect(found, (await self.one(document, request))[0], request.place)
        for attempt in range(1, 2 * wanted):
            if len(found) >= wanted or request.late or request.superseded:
                break
            generation = self._begin(document, request.place, attempt)
            hit = await self._followed(request, generation, "engine", tolerant=bool(found))
            if generation.error is not None:
                break
            _collect(found, [hit] if hit is not None else [], request.place)
        return list(found.values())[:wanted], "engine" if found else "empty"

    def remember(self, generation: Generation, *, prefetched: bool = False) -> Entry | None:
        """Vet what a generation wrote and keep it, also that nothing is worth showing, if it came to its end."""
        if generation.end in ("cancelled", "failed"):
            return None
        entry = self._writer.vetted(generation, prefetched=prefetched)
        if entry.written.text or generation.complete:
            self.memory.add(entry)
        return entry

    def _begin(self, document: Document, place: Place, attempt: int = 0) -> Generation:
        document.stop_running()
        document.stop_ahead()
        document.running = self._writer.begin(place, attempt=attempt)
        return document.running

    async def _followed(
        self, request: Request, generation: Generation, origin: Origin, *, tolerant: bool = False
    ) -> Hit | None:
        """What a generation gives the request; raises its error unless `tolerant`."""
        await request.follow(generation, may_show=lambda: self._writer.has_lines(generation))
        if generation.error is not None and not request.superseded and not tolerant:
            raise generation.error
        if generation.running and not request.superseded and not request.late:
            generation.join(generation, _when_ended(generation, lambda: self.remember(generation)))
        await self._writer.learnt()
        entry = None if request.superseded else self.remember(generation)
        rest = entry.written.rest(request.place.text, request.place.offset) if entry is not None else None
        return Hit(entry, rest, origin) if entry is not None and rest is not None else None


def _when_ended(generation: Generation, work: Callable[[], object]) -> Callable[[], None]:
    """Do `work` once the generation, which was answered from early, has ended: the rest comes by typing along."""

    def wake() -> None:
        if not generation.running:
            work()

    return wake


def _collect(found: dict[str, Hit], hits: Sequence[Hit], place: Place) -> None:
    for hit in hits:
        if hit.fits(place):
            found.setdefault(hit.rest.text.strip(), hit)
