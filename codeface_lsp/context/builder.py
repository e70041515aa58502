"""From a snapshot and an offset to the parts of a prompt, with what must stay stable kept per document.

Pure in that it reads no file: extra context comes from a `Gather` that the workspace provides. It is asked when a
new frame is made, not on each key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from codeface_lsp.context import excerpt, scopes, sites, syntax
from codeface_lsp.context.counting import LineCounter
from codeface_lsp.context.excerpt import Frame
from codeface_lsp.context.parts import Budget, ExtraContext, Parts, Site, TokenCounter
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.text.diff import changed_span
from codeface_lsp.text.snapshot import Snapshot

_FRAMES = 6
"""Windows remembered per document: coming back to one finds its KV cache still warm."""
_COUNTERS = 4
_IMPORTS = re.compile(r"^[ \t]*(?:import|from|use|using|#include|require|const .*require)\b.*", re.MULTILINE)
_IMPORT_CHARS = 60_000
_NEAR = 4_000
"""Characters around the cursor that are searched for a secret on its line."""
OVERHEAD = 24
"""Tokens kept free for the special tokens of a form and the file names in it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What is in sight when extra context is asked for: the window `[top, bottom)` around the cursor."""

    snapshot: Snapshot
    tree: SyntaxTree | None
    offset: int
    top: int
    bottom: int
    budget: int
    counter: LineCounter


@dataclass(frozen=True, slots=True)
class Gathered:
    """Extra context for one frame, in the order in which it is shown, and what to tell the user about it."""

    extra: tuple[ExtraContext, ...] = ()
    notices: tuple[str, ...] = ()


Gather = Callable[[Sight], Gathered]
Mask = Callable[[str, int, int], str]
Select = Callable[[Sight, str], ExtraContext | None]
"""Finds the definition of the popup's selected item, whose text ends at the sight's cursor."""


@dataclass(slots=True)
class _Document:
    text: str
    frames: list[Frame] = field(default_factory=list)
    tree: SyntaxTree | None = None
    tree_failed: str | None = None
    """A text that could not be parsed: it is not tried again until it changed a lot."""

    def advance(self, text: str) -> None:
        span = changed_span(self.text, text)
        if span is None:
            return
        self.frames = [frame for frame in self.frames if frame.shift(span)]
        self.text = text


class ContextBuilder:
    """Builds parts for many documents; one per language server, used from the event loop's thread."""

    def __init__(
        self,
        gather: Gather | None = None,
        name: Callable[[Snapshot], str] | None = None,
        mask: Mask | None = None,
        may_parse: Callable[[Snapshot], bool] | None = None,
        select: Select | None = None,
    ) -> None:
        """`name` gives the file name that prompts show, `mask` gives `text[start:end]` without its secrets.

        `may_parse` is asked before a document's first parse: a grammar that is known to crash on it is left alone.
        """
        self._gather = gather
        self._name = name or _path_or_uri
        self._mask = mask or _unmasked
        self._may_parse = may_parse
        self._select = select
        self._documents: dict[str, _Document] = {}
        self._counters: list[LineCounter] = []

    def build(
        self, snapshot: Snapshot, offset: int, budget: Budget, counter: TokenCounter, selected: str = ""
    ) -> Parts:
        """Parts for a cursor at `offset`, behind a `selected` item's text; at most `budget.total` tokens together."""
        text = snapshot.text
        offset = max(0, min(offset, len(text)))
        document = self._document(snapshot)
        tree = self._tree(document, snapshot)
        lines = self.lines(counter)
        rest = excerpt.line_suffix(text, offset, budget.suffix, lines)
        rest = self._mask(text, offset, offset + len(rest)) if rest else rest
        matters = not sites.closing_only(rest)
        room = budget.total - OVERHEAD - (lines.line(rest + "\n") if matters else 0)
        frame = self._frame(document, snapshot, tree, offset, budget, room, lines)
        if selected:
            self._add_selected(frame, snapshot, tree, offset, lines, selected)
        prefix = self._mask(text, frame.top, offset)
        used = frame.extra_tokens + frame.suffix_tokens + budget.total - OVERHEAD - room
        return Parts(
            path=self._name(snapshot),
            language=snapshot.language,
            prefix=prefix,
            line_suffix=rest,
            suffix=frame.shown,
            extra=frame.extra,
            site=site(tree, snapshot, offset, secret=self._secret_at(text, offset)),
            line_suffix_matters=matters,
            tokens=used + lines.count(prefix),
            notices=frame.notices,
        )

    def lines(self, counter: TokenCounter) -> LineCounter:
        """The line by line counter of a tokenizer."""
        for lines in self._counters:
            if lines.counter is counter:
                return lines
        self._counters = [LineCounter(counter), *self._counters[: _COUNTERS - 1]]
        return self._counters[0]

    def tree(self, snapshot: Snapshot) -> SyntaxTree | None:
        """The tree of a snapshot, from the last one of its document; None where there is no syntax."""
        return self._tree(self._document(snapshot), snapshot)

    def advance(self, snapshot: Snapshot) -> None:
        """Follow a change of the document; cheap, the tree is updated when it is next asked for."""
        self._document(snapshot)

    def refresh(self, uri: str) -> None:
        """Drop the frames of a document: the next request gathers extra context anew."""
        if uri in self._documents:
            self._documents[uri].frames.clear()

    def close(self, uri: str) -> None:
        """Forget a document."""
        self._documents.pop(uri, None)

    def _secret_at(self, text: str, offset: int) -> bool:
        start, end = excerpt.line_bounds(text, offset)
        start, end = max(start, offset - _NEAR), min(end, offset + _NEAR)
        return self._mask(text, start, end) != text[start:end]

    def _document(self, snapshot: Snapshot) -> _Document:
        document = self._documents.get(snapshot.uri)
        if document is None:
            document = self._documents[snapshot.uri] = _Document(snapshot.text)
        document.advance(snapshot.text)
        return document

    def _tree(self, document: _Document, snapshot: Snapshot) -> SyntaxTree | None:
        text = snapshot.text
        if document.tree is not None:
            document.tree = document.tree.updated(text)
        elif document.tree_failed is None or abs(len(document.tree_failed) - len(text)) > len(text) // 10:
            allowed = self._may_parse is None or self._may_parse(snapshot)
            document.tree = syntax.parse(text, snapshot.language) if allowed else None
        document.tree_failed = text if document.tree is None else None
        return document.tree

    def _frame(
        self,
        document: _Document,
        snapshot: Snapshot,
        tree: SyntaxTree | None,
        offset: int,
        budget: Budget,
        room: int,
        lines: LineCounter,
    ) -> Frame:
        for index, frame in enumerate(document.frames):
            if frame.budget != budget or not frame.holds(snapshot.text, offset, lines):
                continue
            if index and frame.stamp != _import_stamp(snapshot.text):
                break  # back from elsewhere, where an import was added: its definitions are wanted now
            document.frames.remove(frame)
            document.frames.insert(0, frame)
            return frame
        frame = self._new_frame(snapshot, tree, offset, budget, room, lines)
        document.frames.insert(0, frame)
        del document.frames[_FRAMES:]
        return frame

    def _add_selected(
        self,
        frame: Frame,
        snapshot: Snapshot,
        tree: SyntaxTree | None,
        offset: int,
        lines: LineCounter,
        item: str,
    ) -> None:
        """Add the item's definition to the window, from what its prefix leaves; taking it out again would cost, too."""
        left = frame.prefix_limit - frame.prefix_tokens(snapshot.text, offset, lines)
        if self._select is None or item in frame.selected or left <= 0:
            return
        frame.selected.add(item)
        bottom = frame.below + len(frame.suffix)
        chunk = self._select(Sight(snapshot, tree, offset, frame.top, bottom, left, lines), item)
        if chunk is None or any(chunk.text in each.text for each in frame.extra):
            return
        frame.extra += (chunk,)
        frame.extra_tokens += chunk.tokens
        frame.prefix_limit -= chunk.tokens

    def _new_frame(
        self,
        snapshot: Snapshot,
        tree: SyntaxTree | None,
        offset: int,
        budget: Budget,
        room: int,
        lines: LineCounter,
    ) -> Frame:
        text = snapshot.text
        suffix, below, suffix_tokens = excerpt.take_suffix(
            text, offset, min(budget.suffix, max(0, room)), lines, tree
        )
        limit = room - suffix_tokens
        gathered = Gathered()
        if self._gather is not None and budget.extra > 0:
            top, _ = excerpt.take_top(text, offset, max(16, limit - budget.extra), lines, tree)
            sight = Sight(snapshot, tree, offset, top, below + len(suffix), min(budget.extra, limit), lines)
            gathered = self._gather(sight)
        extra_tokens = sum(chunk.tokens for chunk in gathered.extra)
        limit = max(16, limit - extra_tokens)
        top, cut = excerpt.take_top(text, offset, limit, lines, tree)
        return Frame(
            budget=budget,
            top=top,
            below=below,
            tail=len(text) - below,
            suffix=suffix,
            shown=self._mask(text, below, below + len(suffix)) if suffix else suffix,
            suffix_tokens=suffix_tokens,
            prefix_limit=limit,
            extra=gathered.extra,
            extra_tokens=extra_tokens,
            notices=gathered.notices,
            stamp=_import_stamp(text),
            cut_line=cut,
        )


def site(tree: SyntaxTree | None, snapshot: Snapshot, offset: int, *, secret: bool = False) -> Site:
    """What the syntax says about a place; without a tree, what its line says."""
    text = snapshot.text
    before, after = text[max(0, offset - 1) : offset], text[offset : offset + 1]
    comment = tree is not None and sites.in_comment(tree, offset)
    string = tree is not None and not comment and sites.in_string(tree, offset)
    plain = not comment and not string
    return Site(
        in_comment=comment,
        in_string=string,
        in_arguments=plain and sites.in_arguments(tree, text, offset),
        multiline=plain and sites.multiline(tree, text, offset, snapshot.language),
        mid_word=bool(before and after) and _is_word(before) and _is_word(after),
        secret=secret,
        enclosing=() if tree is None else scopes.names(tree, offset),
    )


@lru_cache(maxsize=2)
def _import_stamp(text: str) -> int:
    return hash(tuple(_IMPORTS.findall(text, 0, _IMPORT_CHARS)))


def _path_or_uri(snapshot: Snapshot) -> str:
    return snapshot.path or snapshot.uri


def _unmasked(text: str, start: int, end: int) -> str:
    return text[start:end]


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
