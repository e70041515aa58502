"""From a request to an answer: gate, memory, a generation, and what became of it. Front door of the package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from codeface_lsp.assist.inline import gate
from codeface_lsp.assist.inline.acceptance import Acceptance
from codeface_lsp.assist.inline.activity import Activity
from codeface_lsp.assist.inline.document import Document
from codeface_lsp.assist.inline.finder import Finder, Hit
from codeface_lsp.assist.inline.gate import Pauses, PauseScope
from codeface_lsp.assist.inline.generation import LINGER_S
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.prefetch import Prefetcher
from codeface_lsp.assist.inline.requests import Request
from codeface_lsp.assist.inline.shown import Shown
from codeface_lsp.assist.inline.types import ContextSource, Observer, SelectedItem, Suggestion
from codeface_lsp.assist.inline.writer import Writer
from codeface_lsp.assist.next_edit import NextEdit, NextEdits
from codeface_lsp.context.parts import Parts
from codeface_lsp.endpoints.types import Endpoint, Timings
from codeface_lsp.errors import EndpointError
from codeface_lsp.settings import Settings
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

LOW_POWER_PAUSE_S = 0.4
"""In low power an automatic request waits so long for the next key before it costs anything."""
ERROR_QUIET_S = 30.0
"""An automatic request does not repeat the same error to the user more often."""


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
        self.activity = Activity()
        self._writer = Writer(endpoint, workspace, settings, linger_s, self.activity)
        self._finder = Finder(self._writer)
        self._prefetcher = Prefetcher(self._writer, self._finder, self._silence)
        self._shown = Shown()
        self._documents: dict[str, Document] = {}
        self._last_error: tuple[str, float] = ("", -ERROR_QUIET_S)
        self.pauses = Pauses()
        self.next_edits = NextEdits(workspace.tree)

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        if settings.completion != self._settings.completion or settings.model != self._settings.model:
            self._finder.memory.clear()
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

        `snapshot` is the document as it is when this is called. A model that is being loaded is waited for. Raises
        `EndpointError` if no model answers.
        """
        place = Place.at(snapshot, offset, selected)
        budget_s = self._settings.completion.time_budget_ms / 1000
        request = Request(place, invoked=invoked, budget_s=budget_s, clock=self._clock)
        document = self._document(snapshot)
        document.begin(request)
        hits: Sequence[Hit] = []
        try:
            hits, outcome = await self._find(document, request)
        except asyncio.CancelledError:
            self._stats.request(snapshot.language, "", "cancelled", request.elapsed_ms)
            raise
        except EndpointError as error:
            self._stats.request(snapshot.language, "", "error", request.elapsed_ms)
            return self._failed(error, invoked=invoked)
        finally:
            if document.request is request:
                document.request = None
        if request.superseded or document.text != snapshot.text:
            self._stats.request(snapshot.language, "", "superseded", request.elapsed_ms)
            return None
        self._stats.request(
            snapshot.language, hits[0].entry.model if hits else "", outcome, request.elapsed_ms
        )
        return self._show(document, request, hits) if hits else []

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """The document moved on to `snapshot`; each edit refers to the text that the one before it left."""
        if taken := self.next_edits.changed(snapshot, edits):
            self._stats.accepted(taken.id, len(taken.text), whole=True)
        self._writer.neighbourhood.happened(snapshot.uri)
        document = self._documents.get(snapshot.uri)
        if document is not None:
            document.acceptance.changed(snapshot.text, edits)
            document.changed(snapshot.text)

    def opened(self, snapshot: Snapshot) -> None:
        """A document appeared."""
        self.next_edits.opened(snapshot)
        self._writer.neighbourhood.happened(snapshot.uri)

    def closed(self, uri: str) -> None:
        """The document is gone: stop what runs for it and forget what is known of it."""
        self.next_edits.closed(uri)
        self._writer.neighbourhood.happened(uri)
        self._finder.memory.forget(uri)
        document = self._documents.pop(uri, None)
        if document is not None:
            document.stop()
            document.acceptance.close()

    def accepted(self, suggestion_id: str, chars: int | None = None) -> None:
        """The client says that a suggestion was accepted: whole, or `chars` of it all in all."""
        document = self._documents.get(self._shown.where(suggestion_id))
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

    def next_edit(self, snapshot: Snapshot, offset: int) -> list[NextEdit]:
        """Edits elsewhere in the file that the last change makes certain, the nearest first."""
        if not self._settings.completion.next_edit or self._workspace.excluded(snapshot.path):
            return []
        if self.pauses.covers(snapshot.uri, snapshot.language):
            return []
        started = self._clock()
        found = self.next_edits.propose(snapshot, offset)
        latency_ms = (self._clock() - started) * 1000
        for edit in found[:1]:  # editors show the first; the others follow when it was taken
            proposal = Suggestion(edit.id, edit.start, edit.end, edit.text, "next edit", "next edit")
            self._stats.shown(proposal, snapshot.language, invoked=False, latency_ms=latency_ms)
        return found

    def pause(self, scope: PauseScope, value: str = "", *, paused: bool = True) -> None:
        """Pause or resume a language id, a document's URI, or everything; what runs there stops."""
        self.pauses.set(scope, value, paused)
        for uri, document in self._documents.items():
            if self.pauses.covers(uri, document.language):
                document.stop()

    async def aclose(self) -> None:
        """Stop everything and wait until the connections are closed."""
        running = [
            generation for document in self._documents.values() for generation in document.generations()
        ]
        for uri in list(self._documents):
            self.closed(uri)
        for generation in running:
            await generation.stopped()
        await self._writer.aclose()

    def _document(self, snapshot: Snapshot) -> Document:
        document = self._documents.get(snapshot.uri)
        if document is None:
            acceptance = Acceptance(self._stats)
            document = self._documents[snapshot.uri] = Document(snapshot.language, snapshot.text, acceptance)
        return document

    def _silence(self, place: Place, *, invoked: bool = False) -> str | None:
        """Why nothing is suggested at a place, in the order of what it costs to find out."""
        silent = gate.silence(place, self._settings.completion, self.pauses, invoked=invoked)
        return silent or self._writer.silence(place, invoked=invoked)

    async def _find(self, document: Document, request: Request) -> tuple[Sequence[Hit], str]:
        """The hits to show, and the outcome for the statistics."""
        place, completion = request.place, self._settings.completion
        silent: str | None = gate.silence(place, completion, self.pauses, invoked=request.invoked)
        if silent is None and self._workspace.excluded(place.snapshot.path):
            silent = "excluded"
        if silent is not None:
            document.stop_running()
            return [], silent
        known = self._finder.known(place)
        if known and not request.invoked:
            return ([known[0]] if known[0].fits(place) else []), known[0].origin
        if completion.low_power and not request.invoked and await request.wait(LOW_POWER_PAUSE_S):
            return [], "superseded"
        silent = self._writer.silence(place, invoked=request.invoked)
        if silent is not None:
            document.stop_running()
            return [], silent
        if request.invoked:
            return await self._finder.several(document, request, known, completion.alternatives)
        return await self._finder.one(document, request)

    def _show(self, document: Document, request: Request, hits: Sequence[Hit]) -> list[Suggestion]:
        """Hand out the suggestions, follow what becomes of the first, and prepare for its acceptance."""
        place, language = request.place, request.place.snapshot.language
        suggestions = [self._shown.suggestion(place, hit) for hit in hits]
        for suggestion in suggestions:
            self._stats.shown(suggestion, language, invoked=request.invoked, latency_ms=request.elapsed_ms)
        first = hits[0].entry
        if place.selected is None:
            document.acceptance.show(first.group, first.written, place.offset - len(first.written.prefix))
        completion = self._settings.completion
        if completion.prefetch and not completion.low_power:
            self._prefetcher.plan(document, place, first.written)
        return suggestions

    def _failed(self, error: EndpointError, *, invoked: bool) -> list[Suggestion]:
        """Raise the error where the user asked, or has not just been told; else stay silent."""
        kind, at = self._last_error
        now = self._clock()
        if invoked or kind != error.kind or now - at >= ERROR_QUIET_S:
            self._last_error = (error.kind, now)
            raise error
        return []
