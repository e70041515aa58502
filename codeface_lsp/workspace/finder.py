"""Which definitions of other files matter at a place, most wanted first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from codeface_lsp.workspace.facts import Facts, same_language
from codeface_lsp.workspace.outlines import Outlines
from codeface_lsp.workspace.usage import ATTRIBUTE, NAME
from codeface_lsp.workspace.wanted import Wanted

_DOTTED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\.\w*\Z")
_AFTER_DOT = re.compile(r"[\w)\]]\.\w*\Z")
_AMBIGUOUS = 3
"""A bare name defined more often than this in the workspace says too little to show any of its definitions."""
_MOST_NAMES = 400
_AT_CURSOR = 80
_UNUSED = -1.0
_ELSEWHERE = 0.4
_AFTER_METHODS = 0.8
"""Behind a dot comes an attribute: names that stand alone can wait."""


class Finder:
    """Finds the wanted definitions for one place in a file."""

    def __init__(self, facts: Facts, text: str, start: int, end: int, offset: int) -> None:
        """The cursor is at `offset` of `text` and sees `[start, end)`."""
        self._facts = facts
        self._text = text
        self._offset = offset
        self._near = _distances(text, start, end, offset)
        self._outlines = Outlines(facts, text, start, end, offset)
        before = text[max(0, offset - _AT_CURSOR) : offset]
        dotted = _DOTTED.search(before)
        self._alias = dotted[1] if dotted and dotted[1] in facts.aliases else ""
        """The module whose name and dot stand right before the cursor."""
        self._after_dot = bool(_AFTER_DOT.search(before))

    def find(self) -> list[Wanted]:
        """Definitions outside of the file, best first, each once."""
        wanted: dict[int, Wanted] = {}
        for group in (self._imported(), self._attributes(), self._methods(), self._plain_names()):
            for want in group:
                known = wanted.get(want.symbol.id)
                if want.symbol.path != self._facts.path and (known is None or want.rank < known.rank):
                    wanted[want.symbol.id] = want
        self._outlines.add_to(wanted)
        return sorted(wanted.values(), key=lambda want: want.rank)

    def _imported(self) -> Iterator[Wanted]:
        """Names that were imported and are not used yet come first: they were imported for what is written now."""
        unused = self._facts.usage.unused(self._text)
        later = _AFTER_METHODS if self._after_dot else 0.0
        for item, symbol in self._facts.imported:
            seen = item.local in self._near
            reason = "imported" if item.local == item.name else f"imported as {item.local}"
            rank = self._distance(item.local) if seen else _ELSEWHERE
            rank = _UNUSED + rank if item.local in unused else rank
            yield Wanted(symbol, rank + later, reason, seen, brief=not seen)

    def _attributes(self) -> Iterator[Wanted]:
        for use in self._facts.attributes:
            name = use.symbol.name
            seen = name in self._near
            elsewhere = 0.12 if use.alias == self._alias else 1.5 - min(use.count, 9) / 20
            rank = 0.1 + self._distance(name) if seen else elsewhere
            yield Wanted(use.symbol, rank, f"used as {use.alias}.{name}", seen)
        if self._alias:
            for symbol in self._facts.exported(self._alias):
                yield Wanted(symbol, 0.15, f"comes behind {self._alias}.", brief=True)
        for symbol in self._facts.module_rest:
            yield Wanted(symbol, 1.7, "in an imported module")

    def _methods(self) -> Iterator[Wanted]:
        for method in self._facts.methods:
            name = method.symbol.name
            seen = name in self._near
            rank = 0.5 + self._distance(name) if seen else 1.6 - min(method.count, 9) / 20
            rank += 0.0 if method.called else 0.35
            yield Wanted(method.symbol, rank, "the only method of this name", seen)

    def _plain_names(self) -> Iterator[Wanted]:
        """Other names in sight, where the workspace defines them rarely: all that is known of most languages."""
        facts = self._facts
        local = {item.local for item in facts.usage.imports}
        names: Sequence[str] = [
            name for name in self._near if name not in local and name not in facts.usage.own
        ]
        strict = bool(facts.usage.imports) and facts.path.endswith((".py", ".pyi"))
        for name, symbols in facts.plain(names[:_MOST_NAMES]).items():
            same = [s for s in symbols if same_language(s.path, facts.path)]
            if 0 < len(same) <= _AMBIGUOUS:
                best = min(same, key=lambda s: (-_shared(s.path, facts.path), s.path))
                yield Wanted(best, (2.0 if strict else 0.7) + self._distance(name), "a name in sight", True)

    def _distance(self, name: str) -> float:
        return self._near[name] / 1e6


def _distances(text: str, start: int, end: int, offset: int) -> dict[str, int]:
    """Names in `[start, end)` with their distance from `offset`, nearest first."""
    found: dict[str, int] = {}
    for pattern in (NAME, ATTRIBUTE):
        for match in pattern.finditer(text, start, end):
            distance = abs(match.start(1) - offset)
            if distance < found.get(match[1], 1 << 30):
                found[match[1]] = distance
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _shared(a: str, b: str) -> int:
    """Number of leading directories that two paths share."""
    count = 0
    for left, right in zip(a.split("/")[:-1], b.split("/")[:-1], strict=False):
        if left != right:
            break
        count += 1
    return count
