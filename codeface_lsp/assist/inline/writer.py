"""Asks the model for one place: context, budget, stop rules, and the judgement of what came back."""

from __future__ import annotations

import asyncio
import uuid

from codeface_lsp.assist.inline import gate
from codeface_lsp.assist.inline.activity import Activity
from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.generation import Generation
from codeface_lsp.assist.inline.memory import Entry
from codeface_lsp.assist.inline.neighbours import Neighbourhood
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.stopping import StopRules
from codeface_lsp.assist.inline.types import ContextSource
from codeface_lsp.assist.inline.vetting import Refused, Vetting
from codeface_lsp.context.parts import Budget, Parts, TokenCounter
from codeface_lsp.context.sites import closing_only
from codeface_lsp.endpoints.token_counter import open_counter
from codeface_lsp.endpoints.types import DocumentText, Endpoint, InfillRequest, ModelCard, Timings
from codeface_lsp.errors import EndpointError
from codeface_lsp.settings import Settings
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.redaction import redact_document

SINGLE_LINE_TOKENS = 64
_PATIENCE_S = 0.3
_TEMPERATURES = (0.0, 0.4, 0.7, 0.9)


class Writer:
    """Begins generations and vets them."""

    def __init__(
        self,
        endpoint: Endpoint,
        workspace: ContextSource,
        settings: Settings,
        linger_s: float,
        activity: Activity | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._workspace = workspace
        self._linger_s = linger_s
        self._activity = activity or Activity()
        self.neighbourhood = Neighbourhood(workspace)
        self._settings = settings
        self._counter: TokenCounter | None = None
        self._parts: tuple[Place, Parts] | None = None
        self._card: ModelCard | None = None
        self._learning: asyncio.Task[None] | None = None
        self.last_timings: Timings | None = None

    def use(self, settings: Settings) -> None:
        """Put new settings in force."""
        self._settings = settings
        self._counter = self._parts = self._card = self._learning = None

    def silence(self, place: Place, *, invoked: bool) -> gate.Silence | None:
        """Why nothing is asked here, by what stands there."""
        site = self.parts(place).site
        return gate.silence_by_content(place, site, self._settings.completion, invoked=invoked)

    def begin(self, place: Place, *, prefetch: bool = False, attempt: int = 0) -> Generation:
        """Begin a generation; `attempt` above 0 samples another one."""
        if self._learning is None:
            self._learning = asyncio.get_running_loop().create_task(self._learn())
        completion, real = self._settings.completion, place.real
        parts = self.parts(place)
        multiline = self.multiline(place, parts)
        rules = StopRules(place, multiline=multiline, whole=lambda text: self._whole(place, text))
        request = InfillRequest(
            parts,
            completion.max_tokens if multiline else min(completion.max_tokens, SINGLE_LINE_TOKENS),
            stop=rules.stop_strings,
            temperature=_TEMPERATURES[min(attempt, len(_TEMPERATURES) - 1)],
            top_p=0.95 if attempt else 1.0,
            seed=attempt or None,
            time_budget_ms=completion.time_budget_ms,
            document=self._document(real),
            priority="prefetch" if prefetch else "inline",
        )
        generation = Generation(
            self._endpoint, request, place, rules, sure=self._sure, linger_s=self._linger_s
        )
        if not prefetch:
            self._activity.follow(generation.task)
        return generation

    def _document(self, snapshot: Snapshot) -> DocumentText:
        text = redact_document(snapshot.uri, snapshot.text)
        elsewhere = any("completion" in endpoint.roles for endpoint in self._settings.endpoints)
        neighbours = None if elsewhere else self.neighbourhood.of(snapshot)
        return DocumentText(snapshot.uri, snapshot.version, text, neighbours)

    async def aclose(self) -> None:
        """Stop what goes on beside generations."""
        await self.neighbourhood.aclose()

    async def learnt(self) -> None:
        """Wait a moment for what the server says of its model, if that was just asked."""
        if self._learning is not None and not self._learning.done():
            await asyncio.wait([self._learning], timeout=_PATIENCE_S)

    async def _learn(self) -> None:
        """Ask for the model's context length and its tuned confidence, once."""
        try:
            cards = await self._endpoint.models()
        except EndpointError:
            self._learning = None  # asked again with the next generation
            return
        wanted = self._settings.model.completion
        self._card = next(
            (card for card in cards if card.id == wanted), cards[0] if len(cards) == 1 else None
        )

    def multiline(self, place: Place, parts: Parts) -> bool:
        """Whether several lines may be written: the user's choice, else what the syntax asks for."""
        policy = self._settings.completion.multiline
        if policy == "never" or not closing_only(place.rest):
            return False
        return policy == "always" or parts.site.multiline

    @staticmethod
    def has_lines(generation: Generation) -> bool:
        """Whether a running generation has whole lines to show."""
        output = generation.output
        return "\n" in output.lstrip("\n") and bool(generation.rules.whole_so_far(output).strip())

    def vetted(self, generation: Generation, *, prefetched: bool = False) -> Entry:
        """Judge what a generation wrote; an entry with an empty text says that nothing is shown."""
        if generation.entry is not None:
            return generation.entry
        self.last_timings = generation.timings or self.last_timings
        place = generation.place
        text = generation.rules.whole_so_far(generation.output) if generation.running else generation.kept
        logprob = generation.logprob(len(text))
        written = Written(place.prefix, "", "", place.suffix)
        if self._sure(generation.confidence(len(text))):
            judged = Vetting(place, self._workspace.tree(place.snapshot)).judge(text)
            if not isinstance(judged, Refused):
                written = judged
        group = uuid.uuid4().hex
        entry = Entry(
            place.snapshot.uri,
            written,
            group,
            generation.model,
            logprob,
            prefetched,
            sampled=generation.request.temperature > 0,
        )
        if not generation.running:
            generation.entry = entry
        return entry

    def _sure(self, logprob: float | None) -> bool:
        bar = self._settings.completion.min_confidence
        if bar is None and self._card is not None:
            bar = self._card.min_confidence
        return bar is None or logprob is None or logprob >= bar

    def parts(self, place: Place) -> Parts:
        """The parts of the prompt, built once for a place."""
        if self._parts is None or self._parts[0] is not place:
            self._counter = self._counter or open_counter(self._settings)
            selected = place.selected.text if place.selected is not None else ""
            parts = self._workspace.build(
                place.snapshot, place.offset, self._budget(), self._counter, selected
            )
            self._parts = (place, parts)
        return self._parts[1]

    def _budget(self) -> Budget:
        context = self._settings.context
        extra = context.extra_share if context.enabled else 0.0
        total = context.budget_tokens
        if self._card is not None and self._card.context_tokens:
            total = max(64, min(total, self._card.context_tokens - self._settings.completion.max_tokens))
        return Budget(total, int(total * extra), int(total * context.suffix_share))

    def _whole(self, place: Place, text: str) -> bool | None:
        """Whether the file has no more syntax errors with `text` than with the cursor's line taken out."""
        tree = self._workspace.tree(place.snapshot)
        if tree is None:
            return None
        with_text = tree.replaced(place.offset, place.offset, text)
        without = tree.replaced(place.offset - len(place.before), place.line_end, "")
        if with_text is None or without is None:
            return None
        return with_text.error_count() <= without.error_count()
