"""Passages of the workspace that a question is about, ranked by words (BM25, Robertson and Zaragoza 2009).

Files are read on demand and cut into pieces of `_LINES` lines; an identifier also counts by its parts. What no model
may see is not read.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp.context import languages
from codeface_lsp.workspace import redaction
from codeface_lsp.workspace.workspace import Workspace

_LINES, _OVERLAP = 40, 10
_MAX_FILES, _MAX_BYTES = 5_000, 40_000_000
_K1, _B = 1.2, 0.75
_WORD = re.compile(r"[A-Za-z_]\w*|[\u4e00-\u9fff]")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_COMMON = """
a an and are as at be by can do does for from has have how i if in is it of on or s so that the this to was
what when where which who why will with you
"""
_STOP = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of a file; they count from 1, both ends included."""

    path: str
    first_line: int
    last_line: int
    text: str
    language: str
    score: float = 0.0


async def passages(workspace: Workspace, question: str, limit: int = 6) -> list[Passage]:
    """The best passages for a question, best first, secrets masked; at most two of one file."""
    return await asyncio.to_thread(_search, workspace, question, limit)


def words(text: str) -> list[str]:
    """Words of a text in lower case, the parts of identifiers too."""
    found: list[str] = []
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word)]
        found += [word.lower(), *parts] if len(parts) > 1 else [word.lower()]
    return [word for word in found if word not in _STOP]


def files(workspace: Workspace) -> Iterator[Path]:
    """Source files of the workspace that a model may see, bounded in number and size."""
    count = size = 0
    for root in workspace.roots:
        for folder, directories, names in os.walk(root):
            place = Path(folder)
            directories[:] = sorted(
                d for d in directories if not d.startswith(".") and workspace.excluded(str(place / d)) is None
            )
            for name in sorted(names):
                path = place / name
                if languages.of_path(name) is None or workspace.excluded(str(path)) is not None:
                    continue
                count, size = count + 1, size + _size(path)
                if count > _MAX_FILES or size > _MAX_BYTES:
                    return
                yield path


def read(path: Path) -> str | None:
    """Text of a file; None if it is not text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def _search(workspace: Workspace, question: str, limit: int) -> list[Passage]:
    asked = set(words(question))
    pieces: list[tuple[Passage, Counter[str], int]] = []
    frequency: Counter[str] = Counter()
    total = 0
    for path in files(workspace):
        text = read(path)
        if text is None:
            continue
        name = workspace.relative(path)
        for piece in _pieces(name, text):
            counted = Counter(words(piece.text) + 2 * words(name))
            here = Counter({word: counted[word] for word in asked if counted[word]})
            length = sum(counted.values())
            total += length
            frequency.update(here.keys())
            pieces.append((piece, here, length))
    if not pieces:
        return []
    mean = total / len(pieces)
    scored = [
        (sum(_weight(n, frequency[w], len(pieces), length / mean) for w, n in here.items()), piece)
        for piece, here, length in pieces
        if here
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].path, pair[1].first_line))
    return [_masked(piece, score) for score, piece in _spread(scored, limit)]


def _weight(count: int, documents: int, of: int, relative_length: float) -> float:
    rarity = math.log(1 + (of - documents + 0.5) / (documents + 0.5))
    return rarity * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * relative_length))


def _spread(scored: Sequence[tuple[float, Passage]], limit: int) -> list[tuple[float, Passage]]:
    chosen: list[tuple[float, Passage]] = []
    for score, piece in scored:
        same = [p for _, p in chosen if p.path == piece.path]
        overlaps = any(p.first_line <= piece.last_line and piece.first_line <= p.last_line for p in same)
        if len(same) < 2 and not overlaps:
            chosen.append((score, piece))
        if len(chosen) == limit:
            break
    return chosen


def _pieces(path: str, text: str) -> Iterator[Passage]:
    known = languages.of_path(path)
    lines = text.splitlines()
    for first in range(0, max(1, len(lines) - _OVERLAP), _LINES - _OVERLAP):
        part = lines[first : first + _LINES]
        yield Passage(path, first + 1, first + len(part), "\n".join(part), known.ids[0] if known else "")


def _masked(piece: Passage, score: float) -> Passage:
    text = redaction.redact(piece.text)
    return Passage(piece.path, piece.first_line, piece.last_line, text, piece.language, round(score, 3))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
