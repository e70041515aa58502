"""What a file's own text says of names: imported, used, called, typed. Kept while only ordinary code changes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from codeface_lsp.context.imports import Import, imports
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.context.tags import definitions
from codeface_lsp.text.diff import changed_span

NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w{2,})")
ATTRIBUTE = re.compile(r"\.\s*([A-Za-z_]\w{2,})(\s*\()?")
_BASES = re.compile(r"^[ \t]*class\s+\w+\s*(?:\(([^)]*)\)|extends\s+([\w.]+))", re.MULTILINE)
_TYPED = re.compile(r"(?<!\w)(\w+)(?::[ ]?([\w\[\]\"'., |]+)|[ ]?=[ ]?(?:await |new )?([A-Z]\w*)\()")
_IMPORTING = re.compile(r"\b(import|from|require|use|using|include)\b")
_BUILTIN_ATTRIBUTES = frozenset(
    name
    for kind in (str, bytes, list, dict, set, int, float, type(re), re.Pattern, re.Match, Path, Exception)
    for name in dir(kind)
)
"""Attributes of Python's own types: a workspace's method of such a name is rarely meant."""
_STALE_CHARS = 3_000
_MOST_CHARS = 1_000_000
"""Of a longer file only the first so many characters are looked at."""


class Usage:
    """The names in one text of a file."""

    def __init__(self, tree: SyntaxTree | None, text: str) -> None:
        self.text = text
        self.scanned = text[:_MOST_CHARS]
        self.imports: tuple[Import, ...] = () if tree is None else tuple(imports(tree))
        self.own = frozenset() if tree is None else frozenset(d.name for d in definitions(tree))
        """Names that the file defines itself."""
        self.bases = {
            name for found in _BASES.findall(self.scanned) for name in NAME.findall(" ".join(found))
        }
        self.types: dict[str, set[str]] = {}
        """What annotations and assignments say of which class a name is."""
        for name, annotated, made in _TYPED.findall(self.scanned):
            self.types.setdefault(name, set()).update(NAME.findall(annotated or made))
        self.attributes, self.called = self._find_attributes()
        self._names = Counter(NAME.findall(self.scanned))
        self._importing = Counter(item.local for item in self.imports)
        self._unused = frozenset(filter(self._is_unused, self._importing))

    def still_holds(self, text: str) -> bool:
        """Whether it is good enough for a changed text: little changed, and no import."""
        span = changed_span(self.text, text)
        if span is None:
            return True
        start, old_end, new_end = span
        if max(old_end, new_end) - start > _STALE_CHARS:
            return False
        first = text.rfind("\n", 0, start) + 1
        return not _IMPORTING.search(text, first, new_end) and not _IMPORTING.search(
            self.text, first, old_end
        )

    def unused(self, text: str) -> frozenset[str]:
        """Imported names that stand nowhere but in the imports; `text` is what this still holds for."""
        if (span := changed_span(self.text, text)) is None:
            return self._unused
        more = Counter(NAME.findall(text, *_whole_words(text, span[0], span[2])))
        more.subtract(NAME.findall(self.text, *_whole_words(self.text, span[0], span[1])))
        touched = self._importing.keys() & more.keys()
        return (self._unused - touched) | {name for name in touched if self._is_unused(name, more[name])}

    def _is_unused(self, name: str, more: int = 0) -> bool:
        return len(name) > 2 and self._names[name] + more <= self._importing[name]

    def _find_attributes(self) -> tuple[Counter[str], set[str]]:
        """How often each name stands behind a dot, and which of them are called there."""
        used: Counter[str] = Counter()
        called: set[str] = set()
        for name, call in ATTRIBUTE.findall(self.scanned):
            if name not in self.own and name not in _BUILTIN_ATTRIBUTES:
                used[name] += 1
                if call:
                    called.add(name)
        return used, called


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The range grown so that it cuts no word."""
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_."):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return start, end
