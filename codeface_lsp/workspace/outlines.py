"""Methods that matter at a place: what the object before the cursor's dot can do, what is inherited, what is near."""

from __future__ import annotations

import re
from collections import Counter

from codeface_lsp.workspace.facts import Facts
from codeface_lsp.workspace.store import Symbol
from codeface_lsp.workspace.usage import NAME
from codeface_lsp.workspace.wanted import Wanted

_RECEIVER = re.compile(r"([A-Za-z_]\w*)\.(?=\w|\s*$)", re.MULTILINE)
_HEADER = re.compile(r"class\s+\w+\s*(?:\[[^\]]*\])?\(([^)]*)\)|\bextends\s+([\w.]+)")
_ANNOTATED = re.compile(r"\w+\s*:([^=]+)")
_MADE = re.compile(r"=\s*(?:await |new )?(?:\w+\.)*([A-Z]\w*)\(")
_CLASSES = 12
"""Classes that are wanted anyway whose methods are shown, too, far behind."""
_METHODS = 20
_METHODS_AT_CURSOR = 150
_GENERATIONS = 3
_AT_CURSOR = 0.02
_IN_SIGHT = 1.1
_BASE = 0.6
_OTHER = 2.0
_CURSOR_REACH = 40


class Outlines:
    """Finds the methods for one place: the cursor is at `offset` of `text` and sees `[start, end)`."""

    def __init__(self, facts: Facts, text: str, start: int, end: int, offset: int) -> None:
        self._facts = facts
        self._text = text
        self._start, self._end, self._offset = start, end, offset
        self._origins: dict[str, str] = {}
        """Types that a file other than this one speaks of, and that file."""

    def add_to(self, wanted: dict[int, Wanted]) -> None:
        """Add methods of base classes, of the classes of objects in sight and of the classes wanted already."""
        receivers = self._receivers()
        types = dict.fromkeys(self._facts.usage.bases, _BASE) | self._types(receivers)
        near = [want for want in wanted.values() if want.symbol.kind == "class" and want.rank <= 1.0]
        near.sort(key=lambda want: want.rank)
        ranks = {
            _key(want.symbol): types.get(want.symbol.name, _OTHER + want.rank) for want in near[:_CLASSES]
        }
        ranks |= {_key(want.symbol): types[want.symbol.name] for want in near if want.symbol.name in types}
        missing = dict.fromkeys(types, self._facts.path) | self._origins
        for want in near:
            missing.pop(want.symbol.name, None)
        known = self._classes(missing)
        ranks |= {_key(symbol): types[symbol.name] for symbol in known}
        typed = [want.symbol for want in near if want.symbol.name in types] + known
        self._add_ancestors(ranks, typed)
        shown: Counter[tuple[str, str]] = Counter()
        for symbol in self._facts.methods_of(list(ranks)):
            owner = (symbol.path, symbol.parent)
            rank = ranks[owner]
            at_cursor = rank < _BASE
            if not at_cursor and symbol.name.startswith("_") and symbol.name != "__init__":
                continue
            shown[owner] += 1
            if shown[owner] > (_METHODS_AT_CURSOR if at_cursor else _METHODS):
                continue
            if at_cursor and symbol.name.startswith("_"):
                rank += 0.01
            before = wanted.get(symbol.id)
            if symbol.path != self._facts.path and (before is None or rank < before.rank):
                wanted[symbol.id] = Wanted(symbol, rank, f"a method of {symbol.parent}", brief=at_cursor)

    def _classes(self, names: dict[str, str]) -> list[Symbol]:
        """Classes by their names, each as the file that speaks of it means it; none where that cannot be told."""
        found: list[Symbol | None] = []
        for name, symbols in self._facts.classes(names).items():
            here = [symbol for symbol in symbols if symbol.path == names[name]]
            meant = symbols[0] if len(symbols) == 1 else None
            found += here[:1] or [meant or self._facts.definer(names[name], symbols)]
        return [symbol for symbol in found if symbol is not None]

    def _add_ancestors(self, ranks: dict[tuple[str, str], float], classes: list[Symbol]) -> None:
        """Rank what the classes inherit from just behind them."""
        for _ in range(_GENERATIONS):
            bases: dict[str, float] = {}
            origins: dict[str, str] = {}
            for symbol in classes:
                for name in self._bases_of(symbol):
                    bases[name] = min(ranks[_key(symbol)] + 0.001, bases.get(name, _OTHER))
                    origins[name] = symbol.path
            classes = [s for s in self._classes(origins) if _key(s) not in ranks]
            ranks |= {_key(symbol): bases[symbol.name] for symbol in classes}

    def _bases_of(self, symbol: Symbol) -> list[str]:
        known = self._facts.known_bases.get(symbol.id)
        if known is None:
            lines = self._facts.exports.sources.lines(symbol.path)
            found = _HEADER.search("\n".join(lines[symbol.start : max(symbol.start + 1, symbol.body)]))
            known = NAME.findall(f"{found[1]} {found[2]}") if found else []
            self._facts.known_bases[symbol.id] = known
        return known

    def _receivers(self) -> dict[str, float]:
        """Names before a dot in sight, with the ranks of what their objects can do."""
        found: dict[str, float] = {}
        for match in _RECEIVER.finditer(self._text, self._start, self._end):
            at_cursor = self._is_at_cursor(match.end())
            rank = _AT_CURSOR if at_cursor else _IN_SIGHT + abs(match.start() - self._offset) / 1e6
            found[match[1]] = min(rank, found.get(match[1], rank))
        return found

    def _types(self, receivers: dict[str, float]) -> dict[str, float]:
        """Types of the receivers, as annotations and assignments here, and in files they come from, tell them."""
        imported = {item.local: symbol for item, symbol in self._facts.imported if item.local in receivers}
        types: dict[str, float] = {}
        for name, rank in receivers.items():
            kinds = {
                name,
                "".join(part.title() for part in name.split("_")),
                *self._facts.usage.types.get(name, ()),
            }
            if name in ("self", "cls"):
                kinds |= self._facts.usage.bases
            if name in imported:
                made = self._type_of(imported[name])
                self._origins |= dict.fromkeys(made, imported[name].path)
                kinds |= made
            for kind in kinds:
                types[kind] = min(rank, types.get(kind, rank))
        return types

    def _type_of(self, symbol: Symbol) -> set[str]:
        """What a class is called, or what a variable of another file is made of."""
        if symbol.kind != "variable":
            return {symbol.name}
        line = "".join(
            self._facts.exports.sources.lines(symbol.path)[symbol.start : symbol.start + 1]
        ).strip()
        annotated, made = _ANNOTATED.match(line), _MADE.search(line)
        return {*NAME.findall(annotated[1] if annotated else ""), *([made[1]] if made else [])}

    def _is_at_cursor(self, at: int) -> bool:
        return at <= self._offset <= at + _CURSOR_REACH and not re.search(
            r"[^\w]", self._text[at : self._offset]
        )


def _key(symbol: Symbol) -> tuple[str, str]:
    return symbol.path, symbol.name
