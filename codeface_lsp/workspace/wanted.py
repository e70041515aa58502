"""Which definitions of other files matter at a place, most wanted first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codeface_lsp.workspace.facts import ATTRIBUTE, NAME, Facts, by_name, same_language
from codeface_lsp.workspace.store import Symbol

_RECEIVER = re.compile(r"([A-Za-z_]\w*)\.(?=\w|\s*$)", re.MULTILINE)
_DOTTED = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*)\.\w*\Z")
_AMBIGUOUS = 3
"""A bare name defined more often than this in the workspace says too little to show any of its definitions."""
_OUTLINE = 12
_OUTLINE_METHODS = 20
_MOST_NAMES = 400
_AT_CURSOR = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition worth showing, and why; a lower `rank` is shown first."""

    symbol: Symbol
    rank: float
    reason: str
    in_sight: bool = False
    """Whether its name stands in the window: then it is shown with its full signature."""


class Finder:
    """Finds the wanted definitions for one place in a file."""

    def __init__(self, facts: Facts, text: str, start: int, end: int, offset: int) -> None:
        """The cursor is at `offset` of `text` and sees `[start, end)`."""
        self._facts = facts
        self._text = text
        self._start, self._end, self._offset = start, end, offset
        self._near = _distances(text, start, end, offset)

    def find(self) -> list[Wanted]:
        """Definitions outside of the file, best first, each once."""
        wanted: dict[int, Wanted] = {}
        for group in (self._imported(), self._attributes(), self._methods(), self._plain_names()):
            for want in group:
                known = wanted.get(want.symbol.id)
                if want.symbol.path != self._facts.path and (known is None or want.rank < known.rank):
                    wanted[want.symbol.id] = want
        self._outlines(wanted)
        return sorted(wanted.values(), key=lambda want: want.rank)

    def _imported(self) -> Iterator[Wanted]:
        for item, symbol in self._facts.imported:
            seen = item.local in self._near
            reason = "imported" if item.local == item.name else f"imported as {item.local}"
            yield Wanted(symbol, self._distance(item.local) if seen else 0.4, reason, seen)

    def _attributes(self) -> Iterator[Wanted]:
        for use in self._facts.attributes:
            name = use.symbol.name
            seen = name in self._near
            rank = 0.1 + self._distance(name) if seen else 1.5 - min(use.count, 9) / 20
            yield Wanted(use.symbol, rank, f"used as {use.alias}.{name}", seen)
        at_cursor = self._module_at_cursor()
        for symbol in self._facts.module_rest:
            rank = 0.03 if symbol.path in at_cursor else 1.7
            yield Wanted(symbol, rank, "in an imported module")

    def _module_at_cursor(self) -> Sequence[str]:
        """Files of the module whose name and dot stand right before the cursor."""
        dotted = _DOTTED.search(self._text, max(0, self._offset - _AT_CURSOR * 2), self._offset)
        return self._facts.aliases.get(dotted[1], ()) if dotted else ()

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
        local = {item.local for item in facts.imports}
        names = [name for name in self._near if name not in local and name not in facts.own][:_MOST_NAMES]
        strict = bool(facts.imports) and facts.path.endswith((".py", ".pyi"))
        for name, symbols in by_name(facts.reader.named(names, 2000)).items():
            same = [s for s in symbols if same_language(s.path, facts.path) and not s.is_method]
            if 0 < len(same) <= _AMBIGUOUS:
                best = min(same, key=lambda s: (-_shared(s.path, facts.path), s.path))
                yield Wanted(best, (2.0 if strict else 0.7) + self._distance(name), "a name in sight", True)

    def _outlines(self, wanted: dict[int, Wanted]) -> None:
        """Methods of the classes that are wanted already, of base classes and of objects in sight first."""
        classes = [want for want in wanted.values() if want.symbol.kind == "class" and want.rank <= 1.0]
        classes.sort(key=lambda want: want.rank)
        names = {(want.symbol.path, want.symbol.name): 2.0 + want.rank for want in classes[:_OUTLINE]}
        ranks = dict.fromkeys(self._facts.bases, 0.6) | self._types_of_receivers()
        for want in classes:
            if want.symbol.name in ranks:
                names[want.symbol.path, want.symbol.name] = ranks[want.symbol.name]
        files = list(dict.fromkeys(path for path, _ in names))
        shown: Counter[tuple[str, str]] = Counter()
        for symbol in self._facts.reader.in_files(files):
            owner = (symbol.path, symbol.parent)
            rank = names.get(owner)
            public = not symbol.name.startswith("_") or symbol.name == "__init__"
            if rank is not None and symbol.is_method and public and shown[owner] < _OUTLINE_METHODS:
                shown[owner] += 1
                known = wanted.get(symbol.id)
                if known is None or rank < known.rank:
                    wanted[symbol.id] = Wanted(symbol, rank, f"a method of {symbol.parent}")

    def _types_of_receivers(self) -> dict[str, float]:
        """Types of what stands before a dot in sight, as annotations and assignments in the file tell them."""
        receivers: dict[str, float] = {}
        for match in _RECEIVER.finditer(self._text, self._start, self._end):
            rank = 0.02 if self._is_at_cursor(match.end()) else 1.1 + abs(match.start() - self._offset) / 1e6
            receivers[match[1]] = min(rank, receivers.get(match[1], rank))
        types: dict[str, float] = {}
        for name, rank in receivers.items():
            camel = "".join(part.title() for part in name.split("_"))
            for kind in (*self._facts.types.get(name, ()), camel):
                types[kind] = min(rank, types.get(kind, rank))
        return types

    def _is_at_cursor(self, at: int) -> bool:
        return at <= self._offset <= at + _AT_CURSOR and "\n" not in self._text[at : self._offset]

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
