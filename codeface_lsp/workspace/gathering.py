"""Fills the budget for extra context: what is similar, what was edited, and the definitions, in this order.

Definitions stand last, next to the code that uses them, and get what the others leave of the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cachetools import LRUCache

from codeface_lsp.context import scopes
from codeface_lsp.context.builder import Gathered, Sight
from codeface_lsp.context.counting import LineCounter
from codeface_lsp.context.parts import ExtraContext, Source
from codeface_lsp.settings import ContextSettings
from codeface_lsp.workspace.client import IndexClient
from codeface_lsp.workspace.exports import Exports
from codeface_lsp.workspace.facts import Facts
from codeface_lsp.workspace.finder import Finder
from codeface_lsp.workspace.ignore import IgnoreRules
from codeface_lsp.workspace.pieces import HEADER_TOKENS, definition_chunks
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.recent import RecentEdits
from codeface_lsp.workspace.redaction import redact
from codeface_lsp.workspace.selected import selected_chunk
from codeface_lsp.workspace.similar import OpenFiles
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.usage import Usage
from codeface_lsp.workspace.wanted import Wanted

_MOST_FACTS = 32
_LEAST_LINES = 3
_OTHERS = 0.25
"""Share of the budget that similar chunks may take, and recent edits; and the frame's own enclosing headers."""


class Gatherer:
    """Gathers for the documents of one root."""

    def __init__(
        self,
        root: Path,
        client: IndexClient | None,
        recent: RecentEdits,
        open_files: OpenFiles,
        rules: IgnoreRules,
    ) -> None:
        self.root = root
        self._prefix = f"{str(root).rstrip('/')}/"
        self.client = client
        self.sources = Sources(root)
        self._rules = rules
        self._exports = Exports(self.sources, root.name)
        self._facts: LRUCache[str, Facts] = LRUCache(_MOST_FACTS)
        self._recent = recent
        self._open = open_files

    def allowed(self, path: str) -> bool:
        """Whether a model may see the file of this relative path as context for another."""
        return self._rules.shown(f"{self._prefix}{path}")

    def gather(self, sight: Sight, path: str, settings: ContextSettings) -> Gathered:
        """Chunks for a sight of the file at `path` (relative)."""
        self.sources.look_again()
        counter, budget = sight.counter, sight.budget
        share = int(budget * _OTHERS)
        own = self._enclosing(sight, path, share)
        similar = self._similar(sight, path, share) if settings.similar else []
        edits = self._edits(sight, share) if settings.recent_edits else []
        edits = [edit for edit in edits if all(edit.text != chunk.text for chunk in similar)]
        left = budget - sum(chunk.tokens for chunk in (*own, *similar, *edits))
        found = self.wanted(sight, path) if settings.definitions else []
        shown = (want for want in found if self.allowed(want.symbol.path))
        definitions = definition_chunks(shown, self.sources, left, counter)
        return Gathered((*similar, *edits, *definitions, *own))

    def wanted(self, sight: Sight, path: str) -> list[Wanted]:
        """Definitions wanted for a sight, best first; none while there is no index."""
        if self.client is None:
            return []
        nothing: list[Wanted] = []

        def ask(reader: Reader) -> list[Wanted]:
            facts = self._facts_of(reader, sight, path)
            return Finder(facts, sight.snapshot.text, sight.top, sight.bottom, sight.offset).find()

        return self.client.read(ask, nothing)

    def selected(self, sight: Sight, path: str, item: str) -> ExtraContext | None:
        """The definition of the popup's selected item, whose text ends at the cursor."""
        if self.client is None:
            return None

        self.sources.look_again()

        def ask(reader: Reader) -> ExtraContext | None:
            facts = self._facts_of(reader, sight, path)
            return selected_chunk(facts, self.sources, sight, item, sight.budget)

        found = self.client.read(ask, None)
        return found if found is not None and self.allowed(found.filename) else None

    def _facts_of(self, reader: Reader, sight: Sight, path: str) -> Facts:
        facts = self._facts.get(path)
        usage = facts.usage if facts is not None else None
        if usage is None or not usage.still_holds(sight.snapshot.text):
            usage = Usage(sight.tree, sight.snapshot.text)
        if facts is None or usage is not facts.usage or not facts.still_hold(reader):
            facts = self._facts[path] = Facts(reader, self._exports, path, usage)
        return facts

    def around(self, path: str) -> tuple[list[str], list[str]]:
        """Files that the one at `path` imports, as far as that was looked up, and files of its folder."""
        facts = self._facts.get(path)
        imported = list(dict.fromkeys(symbol.path for _, symbol in facts.imported)) if facts else []
        nothing: list[str] = []
        folder = self.client.read(lambda reader: reader.neighbours(path), nothing) if self.client else nothing
        return imported, folder

    def _enclosing(self, sight: Sight, path: str, share: int) -> list[ExtraContext]:
        """Headers of the scopes around the cursor that lie above the window."""
        if sight.tree is None or sight.top == 0:
            return []
        above = [s for s in scopes.enclosing(sight.tree, sight.offset) if s.start < sight.top and s.signature]
        text = "".join(f"{_indented(sight.snapshot.text, scope.start)}{scope.signature}\n" for scope in above)
        chunk = (
            _chunk(path, redact(text), Source.NEIGHBOUR, "encloses the cursor", sight.counter)
            if text
            else None
        )
        return [chunk] if chunk and chunk.tokens <= share else []

    def _similar(self, sight: Sight, path: str, share: int) -> list[ExtraContext]:
        found = self._open.similar(path, sight.snapshot.text, sight.offset)
        chunks = [
            _chunk(
                each.path,
                redact(each.text),
                Source.SIMILAR,
                f"{each.score:.0%} of its words are here too",
                sight.counter,
            )
            for each in found
            if self.allowed(each.path)
        ]
        return list(reversed(_within(chunks, share, sight.counter)))

    def _edits(self, sight: Sight, share: int) -> list[ExtraContext]:
        text, uri = sight.snapshot.text, sight.snapshot.uri
        first = last = 0
        if self._recent.has(uri):  # counting takes a while in a long document
            first = text.count("\n", 0, sight.top)
            last = first + text.count("\n", sight.top, sight.bottom) + 1
        chunks = [
            _chunk(each.path, redact(each.text), Source.RECENT_EDIT, "edited recently", sight.counter)
            for each in self._recent.elsewhere(uri, first, last)
            if self.allowed(each.path)
        ]
        return list(reversed(_within(chunks, share, sight.counter)))


def _chunk(path: str, text: str, source: Source, reason: str, counter: LineCounter) -> ExtraContext:
    text = text if text.endswith("\n") else text + "\n"
    return ExtraContext(path, text, source, counter.count(text) + counter.count(path) + HEADER_TOKENS, reason)


def _within(chunks: Sequence[ExtraContext], budget: int, counter: LineCounter) -> list[ExtraContext]:
    """The first chunks that fit, the last of them cut to as many lines as still do."""
    kept, left = [], budget
    for chunk in chunks:
        if chunk.tokens > left:
            lines = chunk.text.split("\n")
            while len(lines) > _LEAST_LINES and chunk.tokens > left:
                lines = lines[: len(lines) * 3 // 4]
                chunk = _chunk(chunk.filename, "\n".join(lines), chunk.source, chunk.reason, counter)
        if chunk.tokens <= left:
            kept.append(chunk)
            left -= chunk.tokens
    return kept


def _indented(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    return line if not line.strip() else ""
