"""Chunks of other open files that use the same words as the place of the cursor."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

_WINDOW = 20
_STEP = 10
_MAX_LINES = 3_000
_LEAST = 0.15
_FILES = 20
_NEAR_CHARS = 800
_WORD = re.compile(r"[A-Za-z_]\w{2,}")


@dataclass(frozen=True, slots=True)
class SimilarChunk:
    """Lines `[start, end)` of an open file and how alike they are, from 0 to 1."""

    path: str
    start: int
    end: int
    text: str
    score: float


class OpenFiles:
    """Texts of the open documents, cut into windows of lines with their words."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._windows: dict[str, tuple[str, list[tuple[int, int, frozenset[str]]]]] = {}

    def put(self, path: str, text: str) -> None:
        """A document is open with this text; the most recent ones are searched."""
        self._texts[path] = text
        self._texts.move_to_end(path)

    def texts(self) -> list[tuple[str, str]]:
        """Names and texts, the most recent first."""
        return list(reversed(self._texts.items()))

    def drop(self, path: str) -> None:
        """A document was closed."""
        self._texts.pop(path, None)
        self._windows.pop(path, None)

    def similar(self, path: str, text: str, offset: int, most: int = 3) -> list[SimilarChunk]:
        """The best chunk of each other open file, the most alike first (Jaccard over words)."""
        here = frozenset(_WORD.findall(text, max(0, offset - _NEAR_CHARS), offset + _NEAR_CHARS // 2))
        if len(here) < 3:
            return []
        others = [other for other in reversed(self._texts) if other != path][:_FILES]
        found = [best for other in others if (best := self._best(other, here)) is not None]
        return sorted(found, key=lambda chunk: -chunk.score)[:most]

    def _best(self, path: str, here: frozenset[str]) -> SimilarChunk | None:
        best: tuple[float, int, int] | None = None
        for start, end, words in self._of(path):
            common = len(here & words)
            score = common / (len(here) + len(words) - common) if common else 0.0
            if score >= _LEAST and (best is None or score > best[0]):
                best = (score, start, end)
        if best is None:
            return None
        lines = self._texts[path].split("\n")[best[1] : best[2]]
        return SimilarChunk(path, best[1], best[2], "\n".join(lines), best[0])

    def _of(self, path: str) -> list[tuple[int, int, frozenset[str]]]:
        text = self._texts[path]
        known = self._windows.get(path)
        if known is not None and known[0] is text:
            return known[1]
        lines = text.split("\n")[:_MAX_LINES]
        windows = [
            (
                start,
                min(start + _WINDOW, len(lines)),
                frozenset(_WORD.findall("\n".join(lines[start : start + _WINDOW]))),
            )
            for start in range(0, max(1, len(lines) - _STEP), _STEP)
        ]
        self._windows[path] = (text, windows)
        return windows
