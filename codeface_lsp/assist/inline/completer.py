"""From a request to an answer: gate, memory, a generation to join or to begin, vetting, prefetch."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from codeface_lsp.assist.inline import gate
from codeface_lsp.assist.inline.acceptance import Acceptance
from codeface_lsp.assist.inline.anchors import Rest, Written
from codeface_lsp.assist.inline.gate import Pauses, PauseScope
from codeface_lsp.assist.inline.generation import LINGER_S, Generation
from codeface_lsp.assist.inline.memory import Entry, SuggestionMemory
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.requests import Request
from codeface_lsp.assist.inline.types import ContextSource, Observer, Origin, SelectedItem, Suggestion
from codeface_lsp.assist.inline.writer import Writer
from codeface_lsp.assist.next_edit import NextEdit, NextEdits
from codeface_lsp.context.parts import Parts
from codeface_lsp.endpoints.types import Endpoint, Timings
from codeface_lsp.errors import EndpointError
from codeface_lsp.settings import Settings
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

log = logging.getLogger(__name__)

LOW_POWER_PAUSE_S = 0.4
"""In low power an automatic request waits so long for the next key before it costs anything."""
PREFETCH_DELAY_S = 0.05
SOFT_DEADLINE_S = 0.12
"""After this an automatic answer takes the whole lines that are there, and the rest comes by typing along."""
ERROR_QUIET_S = 30.0
"""An automatic request does not repeat the same error to the user more often."""


@dataclass(slots=True)
class _Document:
    """What runs for one document. `text` is what the editor has now."""

    acceptance: Acceptance
    text: str
    request: Request | None = None
    running: Generation | None = None
    prefetch: Generation | None = None
    bridge: Written | None = None
    """The suggestion whose acceptance the prefetch assumes."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def supersede(self) -> None:
        if self.request is not None:
            self.request.supersede()

    def stop_running(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def stop_prefetch(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()
        if self.prefetch is not None:
            self.prefetch.stop()
        self.prefetch = self.bridge = None


class InlineCompleter:
    """Ghost text for all documents of one window. Used from the event loop's thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        workspace: ContextSource,
        settings: Settings,
        stats: Observer,
        *,
        linger_s: float = LINGER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._stats = stats
        self._clock = clock
        self._writer = Writer(endpoint, workspace, settings, linger_s)
        self._memory = SuggestionMemory()
        self._documents: dict[str, _Document] = {}
        self._owners: dict[str, str] = {}
        self._last_error: tuple[str, float] = ("", -ERROR_QUIET_S)
        self.pauses = Pauses()
        self.next_edits = NextEdits(workspace.tree)

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        if settings.completion != self._settings.completion or settings.model != self._settings.model:
            self._memory.clear()
        self._settings = settings
        self._writer.use(settings)

    async def complete(
        self,
        snapshot: Snapshot,
        offset: int,
        *,
        invoked: bool = False,
        selected: SelectedItem | None = None,
    ) -> list[Suggestion] | None:
        """Suggestions at `offset`: one, several if `invoked`, an empty list for nothing, None if superseded.

        `snapshot` is the document as it is when this is called. Raises `EndpointError` if no model answers.
        """
        started = self._clock()
        place = Place.at(snapshot, offset, selected)
        document = self._begin(place)
        request = Request(place, invoked=invoked)
        document.request = request
        try:
            answer, outcome = await self._answer(document, request)
        except asyncio.CancelledError:
            self._stats.request(snapshot.language, "", "cancelled", self._elapsed(started))
            raise
        except EndpointError as error:
            self._stats.request(snapshot.language, "", "error", self._elapsed(started))
            return self._failed(error, invoked=invoked)
        finally:
            if document.request is request:
                document.request = None
        if answer is not None and (request.superseded or document.text != snapshot.text):
            answer, outcome = None, "superseded"
        self._report(document, request, answer, outcome, self._elapsed(started))
        return answer

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """The document moved on to `snapshot`; each edit refers to the text that the one before it left."""
        self.next_edits.changed(snapshot, edits)
        document = self._documents.get(snapshot.uri)
        if document is None:
            return
        text = document.text = snapshot.text
        document.acceptance.changed(text, edits)
        if document.running is not None and not document.running.agrees(text):
            document.stop_running()
            document.supersede()
        if document.bridge is not None and not self._prefetch_agrees(document, text):
            document.stop_prefetch()

    def closed(self, uri: str) -> None:
        """The document is gone: stop what runs for it and forget what is known of it."""
        self.next_edits.closed(uri)
        document = self._documents.pop(uri, None)
        self._memory.forget(uri)
        if document is not None:
            document.supersede()
            document.stop_running()
            document.stop_prefetch()
            document.acceptance.close()

    def accepted(self, suggestion_id: str, chars: int | None = None) -> None:
        """The client says that a suggestion was accepted: whole, or `chars` of it all in all."""
        document = self._documents.get(self._owners.get(suggestion_id, ""))
        if document is not None:
            document.acceptance.told(suggestion_id, chars)
        elif chars is None:
            self._stats.accepted(suggestion_id, 0, whole=True)

    def parts(self, snapshot: Snapshot, offset: int) -> Parts:
        """What a completion at `offset` would show the model."""
        return self._writer.parts(Place.at(snapshot, offset))

    @property
    def last_timings(self) -> Timings | None:
        """Figures of the last generation that came to its end, as the model server measured them."""
        return self._writer.last_timings

    def opened(self, snapshot: Snapshot) -> None:
        """A document appeared."""
        self.next_edits.opened(snapshot)

    def next_edit(self, snapshot: Snapshot, offset: int) -> list[NextEdit]:
        """Edits elsewhere in the file that the last change makes certain, the nearest first."""
        if not self._settings.completion.next_edit or self._workspace.excluded(snapshot.path):
            return []
        if self.pauses.covers(snapshot.uri, snapshot.language):
            return []
        return self.next_edits.propose(snapshot, offset)

    def pause(self, scope: PauseScope, value: str = "", *, paused: bool = True) -> None:
        """Pause or resume a language id, a document's URI, or everything; what runs there stops."""
        self.pauses.set(scope, value, paused)
        if paused:
            for uri, document in self._documents.items():
                language = document.request.place.snapshot.language if document.request else ""
                if scope == "language" or self.pauses.covers(uri, language):
                    document.supersede()
                    document.stop_running()
                    document.stop_prefetch()

    async def aclose(self) -> None:
        """Stop everything and wait until the connections are closed."""
        running = [g for d in self._documents.values() for g in (d.running, d.prefetch) if g is not None]
        for uri in list(self._documents):
            self.closed(uri)
        for generation in running:
            await generation.stopped()

    def _begin(self, place: Place) -> _Document:
        """The newest request of a document wins: answer the one before, stop what leads elsewhere."""
        uri = place.snapshot.uri
        document = self._documents.get(uri)
        if document is None:
            document = self._documents[uri] = _Document(Acceptance(self._stats), place.real.text)
        document.text = place.real.text
        document.supersede()
        if document.running is not None and not document.running.serves(place):
            document.stop_running()
        return document

    async def _answer(self, document: _Document, request: Request) -> tuple[list[Suggestion] | None, str]:
        place, completion = request.place, self._settings.completion
        silent = gate.silence(place, completion, self.pauses, invoked=request.invoked)
        if silent is None and self._workspace.excluded(place.snapshot.path):
            silent = "excluded"
        if silent is not None:
            document.stop_running()
            return [], silent
        hits = self._memory.find(place.snapshot.uri, place.text, place.offset)
        if hits and not request.invoked:
            return self._from_memory(document, request, hits[0])
        if completion.low_power and not request.invoked and await request.wait(LOW_POWER_PAUSE_S):
            return None, "superseded"
        silent = self._writer.silence(place, invoked=request.invoked)
        if silent is not None:
            document.stop_running()
            return [], silent
        if request.invoked:
            return await self._alternatives(document, request, hits)
        return await self._generated(document, request)

    def _from_memory(
        self, document: _Document, request: Request, hit: tuple[Entry, Rest]
    ) -> tuple[list[Suggestion], str]:
        entry, rest = hit
        suggestion = self._suggest(document, request, entry, rest, entry.origin)
        return ([suggestion] if suggestion else []), entry.origin

    async def _generated(self, document: _Document, request: Request) -> tuple[list[Suggestion] | None, str]:
        """Wait for a generation that serves the place; one that ends too early is followed by another."""
        deadline = self._clock() + self._settings.completion.time_budget_ms / 1000
        for fresh in (False, True):
            generation, joined = self._join_or_begin(document, request.place, fresh=fresh)
            entry = await self._settled(request, generation, deadline)
            if request.superseded:
                return None, "superseded"
            if generation.error is not None:
                raise generation.error
            rest = None if entry is None else self._rest(entry, request.place)
            if entry is not None and rest is not None:
                origin: Origin = "joined" if joined else "engine"
                suggestion = self._suggest(document, request, entry, rest, origin)
                return ([suggestion] if suggestion else []), origin
            if not joined or self._clock() >= deadline:
                break
        return [], "empty" if generation.end else "late"

    def _join_or_begin(
        self, document: _Document, place: Place, *, fresh: bool = False
    ) -> tuple[Generation, bool]:
        for generation in () if fresh else (document.running, document.prefetch):
            if generation is not None and generation.serves(place):
                return generation, True
        document.stop_running()
        document.stop_prefetch()
        document.running = self._writer.begin(place)
        return document.running, False

    async def _settled(self, request: Request, generation: Generation, deadline: float) -> Entry | None:
        """Wait until the generation has something to show for the request, or time is up."""
        soft = min(deadline, self._clock() + SOFT_DEADLINE_S)
        generation.join(request, request.wake)
        try:
            while generation.running and not request.superseded:
                now = self._clock()
                if now >= deadline:
                    break
                if now >= soft and self._writer.has_lines(generation):
                    generation.join(generation, lambda: self._finished(generation))
                    break
                await request.wait((soft if now < soft else deadline) - now)
        finally:
            generation.leave(request)
        if generation.error is None:
            await self._writer.learnt()
        if request.superseded or generation.error is not None or generation.end == "cancelled":
            return None
        return self._remember(generation)

    def _finished(self, generation: Generation) -> None:
        """A generation that was answered from early has ended: what it added comes by typing along."""
        if not generation.running and generation.end not in ("cancelled", "failed"):
            self._remember(generation)

    def _remember(self, generation: Generation, *, prefetched: bool = False) -> Entry:
        """Vet what a generation wrote and keep it, also that nothing is worth showing, if it came to its end."""
        entry = self._writer.vetted(generation, prefetched=prefetched)
        if entry.written.text or generation.complete:
            self._memory.add(entry)
        return entry

    async def _alternatives(
        self, document: _Document, request: Request, hits: list[tuple[Entry, Rest]]
    ) -> tuple[list[Suggestion] | None, str]:
        """Several distinct suggestions: those known, the greedy one, then sampled ones, within the time budget."""
        wanted = self._settings.completion.alternatives
        deadline = self._clock() + self._settings.completion.time_budget_ms / 1000
        found: dict[str, Suggestion] = {}
        for entry, rest in hits:
            self._collect(found, self._suggest(document, request, entry, rest, entry.origin))
        for attempt in range(2 * wanted):
            if len(found) >= wanted or self._clock() >= deadline:
                break
            if attempt == 0:
                if found:
                    continue
                generation, _ = self._join_or_begin(document, request.place)
            else:
                document.stop_running()
                document.stop_prefetch()
                generation = document.running = self._writer.begin(request.place, attempt=attempt)
            written = await self._settled(request, generation, deadline)
            if request.superseded:
                return None, "superseded"
            if generation.error is not None:
                if found:
                    break
                raise generation.error
            left = None if written is None else self._rest(written, request.place)
            if written is not None and left is not None:
                self._collect(found, self._suggest(document, request, written, left, "engine"))
        return list(found.values())[:wanted], "engine" if found else "empty"

    @staticmethod
    def _rest(entry: Entry, place: Place) -> Rest | None:
        return entry.written.rest(place.text, place.offset)

    @staticmethod
    def _collect(found: dict[str, Suggestion], suggestion: Suggestion | None) -> None:
        if suggestion is not None:
            found.setdefault(suggestion.text.strip(), suggestion)

    def _suggest(
        self, document: _Document, request: Request, entry: Entry, rest: Rest, origin: Origin
    ) -> Suggestion | None:
        """The suggestion for the request's place; None if there is nothing worth showing."""
        if not rest.text or request.superseded:
            return None
        place, selected = request.place, request.place.selected
        start, end, text = place.offset, rest.end, rest.text
        if selected is not None:
            if rest.end != place.offset:
                return None  # the protocol wants the selected item's own range
            start, end, text = selected.start, selected.end, selected.text + rest.text
        self._owners[entry.group] = place.snapshot.uri
        while len(self._owners) > 1000:
            del self._owners[next(iter(self._owners))]
        request.chosen = request.chosen or entry
        return Suggestion(entry.group, start, end, text, origin, entry.model, entry.logprob)

    def _report(
        self,
        document: _Document,
        request: Request,
        answer: list[Suggestion] | None,
        outcome: str,
        latency_ms: float,
    ) -> None:
        language = request.place.snapshot.language
        model = answer[0].model if answer else ""
        self._stats.request(language, model, outcome, latency_ms)
        if not answer or request.chosen is None:
            return
        entry = request.chosen
        for suggestion in answer:
            self._stats.shown(suggestion, language, invoked=request.invoked, latency_ms=latency_ms)
        if request.place.selected is None:
            reached = request.place.offset - len(entry.written.prefix)
            document.acceptance.show(entry.group, entry.written, reached)
        completion = self._settings.completion
        if completion.prefetch and not completion.low_power:
            self._plan_prefetch(document, request.place, entry.written)

    def _plan_prefetch(self, document: _Document, place: Place, written: Written) -> None:
        if document.bridge == written:
            return
        document.stop_prefetch()
        document.bridge = written
        loop = asyncio.get_running_loop()
        document.timers = [loop.call_later(PREFETCH_DELAY_S, self._prefetch, document, place, written)]

    def _prefetch(self, document: _Document, place: Place, written: Written) -> None:
        """Begin the next suggestion as if `written` were accepted, while the user reads it."""
        uri = place.snapshot.uri
        if document.request is not None or (document.running is not None and document.running.running):
            return
        hypothetical = Snapshot(
            uri, place.snapshot.path, place.snapshot.language, place.snapshot.version, written.result
        )
        after = Place(hypothetical, len(written.prefix) + len(written.text), place.real)
        if self._memory.find(uri, after.text, after.offset):
            return
        if gate.silence(after, self._settings.completion, self.pauses, invoked=False):
            return
        if self._writer.silence(after, invoked=False):
            return
        generation = document.prefetch = self._writer.begin(after, prefetch=True)
        generation.join(generation, lambda: self._prefetched(document, generation))

    def _prefetched(self, document: _Document, generation: Generation) -> None:
        if generation.running:
            return
        if generation.end not in ("cancelled", "failed"):
            self._remember(generation, prefetched=True)
        if document.prefetch is generation:
            document.prefetch = None

    @staticmethod
    def _prefetch_agrees(document: _Document, text: str) -> bool:
        if document.bridge is not None and document.bridge.reached(text) is not None:
            return True
        return document.prefetch is not None and document.prefetch.agrees(text)

    def _failed(self, error: EndpointError, *, invoked: bool) -> list[Suggestion]:
        """Raise the error where the user asked, or has not just been told; else stay silent."""
        kind, at = self._last_error
        now = self._clock()
        if invoked or kind != error.kind or now - at >= ERROR_QUIET_S:
            self._last_error = (error.kind, now)
            raise error
        return []

    def _elapsed(self, started: float) -> float:
        return (self._clock() - started) * 1000
