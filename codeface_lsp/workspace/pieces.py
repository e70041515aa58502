"""Definitions as text for a prompt: signatures first, more of each where the budget allows, grouped by file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice

from cachetools import LRUCache

from codeface_lsp.context.counting import LineCounter
from codeface_lsp.context.parts import ExtraContext, Source
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol
from codeface_lsp.workspace.wanted import Wanted

_MAX_SIGNATURE = 400
_MAX_DOC = 160
_SMALL_BODY = 4
_MAX_VALUE = 40
_MOST_ARGUMENTS = 4
_LONG_SIGNATURE = 160
"""A longer signature is shown in full only if there is budget left, even of a name in sight."""
_CLASS = re.compile(r"\s*class\s+\w+(?=\s*[(:])")
_DEF = re.compile(r"(\s*(?:async\s+)?def\s+\w+)\s*\((.*)")
_INDENT = re.compile(r"\s*")
_LEAST = 12
"""With fewer tokens left, no further definition is tried."""
_MOST = 300
HEADER_TOKENS = 4
"""What the separator before a file name and the line end after it cost at most, beside the name's own tokens."""


_KNOWN_FORMS = 4_000


class _Forms:
    """Texts for a definition from the shortest to the fullest, none if its file moved on; and what they cost."""

    def __init__(self, want: Wanted, lines: Sequence[str]) -> None:
        self.lines = lines
        """What they were made from."""
        self.texts = _forms_of(want, lines)
        self._counter: LineCounter | None = None
        self._costs: dict[int, int] = {}

    def cost(self, index: int, counter: LineCounter) -> int:
        """Tokens of a text and its line end."""
        if counter is not self._counter:
            self._counter, self._costs = counter, {}
        known = self._costs.get(index)
        if known is None:
            known = self._costs[index] = counter.count(self.texts[index] + "\n")
        return known


_forms: LRUCache[tuple[Symbol, bool, bool], _Forms] = LRUCache(_KNOWN_FORMS)
"""The same definitions are wanted again and again."""


class _Piece:
    """One definition, and which of its forms is shown."""

    def __init__(self, want: Wanted, forms: _Forms) -> None:
        self.want = want
        self.forms = forms
        self.shown = 0

    @property
    def text(self) -> str:
        return self.forms.texts[self.shown]


def definition_chunks(
    wanted: Iterable[Wanted], sources: Sources, budget: int, counter: LineCounter
) -> list[ExtraContext]:
    """Chunks of at most `budget` tokens together, one for each file, the most wanted last, next to the code."""
    chosen: list[_Piece] = []
    files: dict[str, int] = {}
    owners: set[tuple[str, str]] = set()
    spent = 0
    for want in islice(wanted, _MOST):
        piece = _piece(want, sources)
        if piece is None:
            continue
        symbol = want.symbol
        header = 0 if symbol.path in files else HEADER_TOKENS + counter.count(symbol.path)
        cost = header + piece.forms.cost(0, counter)
        if symbol.is_method and (symbol.path, symbol.parent) not in owners:
            cost += counter.line(_owner_line(symbol.path, symbol.parent) + "\n")
        if spent + cost > budget:
            if budget - spent < _LEAST:
                break
            continue
        if symbol.is_method or symbol.kind == "class":
            owners.add((symbol.path, symbol.parent if symbol.is_method else symbol.name))
        files.setdefault(symbol.path, len(files))
        spent += cost
        chosen.append(piece)
    for piece in chosen:
        for fuller in range(len(piece.forms.texts) - 1, 0, -1):
            cost = piece.forms.cost(fuller, counter) - piece.forms.cost(0, counter)
            if spent + cost <= budget:
                piece.shown = fuller
                spent += cost
                break
    return [_chunk(path, chosen, counter) for path in sorted(files, key=lambda path: -files[path])]


def signature_of(symbol: Symbol, lines: Sequence[str]) -> str:
    """The signature of a definition on as few lines as it can be; empty if the file moved on."""
    if symbol.start >= len(lines):
        return ""
    if symbol.kind == "variable":
        text = lines[symbol.start].rstrip()
        return text[:_MAX_SIGNATURE] if symbol.name in text else ""
    head = lines[symbol.start : max(symbol.start + 1, min(symbol.body, symbol.end + 1))]
    text = _joined(head).removesuffix("{").rstrip()
    return text[:_MAX_SIGNATURE] if symbol.name in text else ""


def _piece(want: Wanted, sources: Sources) -> _Piece | None:
    lines = sources.lines(want.symbol.path)
    key = (want.symbol, want.in_sight, want.brief)
    known = _forms.get(key)
    if known is None or known.lines is not lines:
        known = _forms[key] = _Forms(want, lines)
    return _Piece(want, known) if known.texts else None


def _forms_of(want: Wanted, lines: Sequence[str]) -> list[str]:
    symbol = want.symbol
    signature = signature_of(symbol, lines)
    if not signature:
        return []
    forms = [signature]
    if not want.in_sight or len(signature) > _LONG_SIGNATURE:
        forms.insert(0, compact(signature, symbol.kind))
    if want.brief:
        forms.insert(0, name_alone(signature, symbol))
    doc = _first_doc_line(lines, symbol)
    if doc:
        forms.append(f"{signature}\n{_INDENT.match(signature)[0]}    {doc}")  # type: ignore[index]
    if symbol.kind != "variable" and symbol.body <= symbol.end <= symbol.start + _SMALL_BODY:
        forms.append("\n".join(lines[symbol.start : symbol.end + 1]))
    return list(dict.fromkeys(forms))


def compact(signature: str, kind: str) -> str:
    """A Python signature without decorators, annotations, defaults, most of many arguments; an assignment's start."""
    line = signature.rpartition("\n")[2]
    if kind == "class" and (named := _CLASS.match(line)):
        return f"{named[0]}:"
    if kind != "function":
        return line if len(line) <= _MAX_VALUE else f"{line[:_MAX_VALUE]}..."
    found = _DEF.match(line)
    if found is None:
        return line
    names = [re.split(r"[:=]", part, maxsplit=1)[0].strip() for part in _arguments(found[2])]
    names = [name for name in names if name]
    shown = names if len(names) <= _MOST_ARGUMENTS else [*names[: _MOST_ARGUMENTS - 1], "..."]
    return f"{found[1]}({', '.join(shown)}):"


def name_alone(signature: str, symbol: Symbol) -> str:
    """A Python definition as hardly more than its name; elsewhere the last line of its signature."""
    line = signature.rpartition("\n")[2]
    if symbol.kind == "function":
        found = _DEF.match(line)
        return f"{found[1]}(...)" if found else line
    return f"{symbol.name} = ..." if symbol.kind == "variable" else compact(signature, symbol.kind)


def _arguments(text: str) -> list[str]:
    """Split a parameter list at the commas that no bracket encloses; stops at its closing bracket."""
    parts: list[str] = []
    depth = start = 0
    for index, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            if depth == 0:
                return [*parts, text[start:index]]
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _chunk(path: str, chosen: Sequence[_Piece], counter: LineCounter) -> ExtraContext:
    pieces = sorted((p for p in chosen if p.want.symbol.path == path), key=lambda p: p.want.symbol.start)
    shown = {(p.want.symbol.kind, p.want.symbol.name) for p in pieces}
    texts: list[str] = []
    owner = ""
    for piece in pieces:
        symbol = piece.want.symbol
        if symbol.is_method and symbol.parent != owner and ("class", symbol.parent) not in shown:
            texts.append(
                f"class {symbol.parent}:" if path.endswith((".py", ".pyi")) else f"class {symbol.parent}"
            )
        owner = symbol.parent if symbol.is_method else symbol.name if symbol.kind == "class" else ""
        texts.append(piece.text)
    text = "\n".join(texts) + "\n"
    reasons = dict.fromkeys(
        f"{p.want.symbol.name}: {p.want.reason}" for p in sorted(pieces, key=lambda p: p.want.rank)
    )
    cost = counter.count(text) + HEADER_TOKENS + counter.count(path)
    return ExtraContext(path, text, Source.DEFINITION, cost, "; ".join(reasons))


def _owner_line(path: str, owner: str) -> str:
    return f"class {owner}:" if path.endswith((".py", ".pyi")) else f"class {owner}"


def _joined(head: Sequence[str]) -> str:
    """Decorators and comments on lines of their own, a signature of several lines on one."""
    kept: list[str] = []
    signature: list[str] = []
    open_brackets = 0
    for line in head:
        if open_brackets > 0:  # the arguments of a decorator go on
            open_brackets += _opened(line)
        elif not signature and line.lstrip().startswith(("@", "#[", "///", "//")):
            open_brackets = _opened(line) if line.lstrip().startswith("@") else 0
            kept.append(f"{line.partition('(')[0]}(...)" if open_brackets > 0 else line.rstrip())
        elif line.strip():
            signature.append(line.rstrip() if not signature else line.strip())
    joined = re.sub(r",\s*([)\]])", r"\1", re.sub(r"([(\[])\s+", r"\1", " ".join(signature)))
    return "\n".join([*kept, joined])


def _opened(line: str) -> int:
    return sum(line.count(sign) for sign in "([{") - sum(line.count(sign) for sign in ")]}")


def _first_doc_line(lines: Sequence[str], symbol: Symbol) -> str:
    if not symbol.path.endswith((".py", ".pyi")) or symbol.body >= len(lines) or symbol.kind == "variable":
        return ""
    first = lines[symbol.body].strip()
    found = re.match(r"[rRuU]?(\"\"\"|''')(.*)", first)
    if not found:
        return ""
    text = found[2].partition(found[1])[0].strip()
    if not text and symbol.body + 1 < len(lines):
        text = lines[symbol.body + 1].strip().partition(found[1])[0]
    return f'"""{text[:_MAX_DOC]}"""' if text else ""
