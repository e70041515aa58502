"""Differences between two texts: the one span that changed, and minimal edits.

The edits are line-wise first and refined within changed lines, so that an editor keeps its cursors, marks and
folds wherever nothing changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from rapidfuzz.distance import Indel

from codeface_lsp.text.edits import TextEdit

_BLOCK = 1 << 14
_MAX_LINES = 20_000
"""Above this many changed lines one edit replaces them all: an alignment would take seconds."""
_MAX_REFINED = 4_000
_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


def common_prefix(old: str, new: str, limit: int | None = None) -> int:
    """Length of the longest common prefix, at most `limit`; compares at memory speed."""
    end = min(len(old), len(new)) if limit is None else min(len(old), len(new), limit)
    return _longest(end, lambda start, stop: old[start:stop] == new[start:stop])


def common_suffix(old: str, new: str, limit: int | None = None) -> int:
    """Length of the longest common suffix, at most `limit`."""
    end = min(len(old), len(new)) if limit is None else min(len(old), len(new), limit)
    m, n = len(old), len(new)
    return _longest(end, lambda start, stop: old[m - stop : m - start] == new[n - stop : n - start])


def changed_span(old: str, new: str) -> tuple[int, int, int] | None:
    """Smallest `(start, old_end, new_end)` with `old[:start] + new[start:new_end] + old[old_end:] == new`.

    None if the texts are equal.
    """
    if old is new or old == new:
        return None
    start = common_prefix(old, new)
    tail = common_suffix(old, new, min(len(old), len(new)) - start)
    return start, len(old) - tail, len(new) - tail


def minimal_edits(old: str, new: str) -> list[TextEdit]:
    """Edits, in order and without overlap, that turn `old` into `new` and leave alone what is common."""
    span = changed_span(old, new)
    if span is None:
        return []
    start = old.rfind("\n", 0, span[0]) + 1
    old_end = _line_end(old, span[1])
    old_lines = _LINES.findall(old[start:old_end])
    new_lines = _LINES.findall(new[start : old_end + len(new) - len(old)])
    if len(old_lines) + len(new_lines) > _MAX_LINES:
        return [TextEdit(span[0], span[1], new[span[0] : span[2]])]
    edits: list[TextEdit] = []
    for offset, before, after in _hunks(old_lines, new_lines, start):
        edits += _refine(offset, before, after)
    return edits


def _longest(end: int, equal: Callable[[int, int], bool]) -> int:
    """Largest `n <= end` for which everything before `n` is equal: whole blocks first, then bisection."""
    low = 0
    while low < end:
        high = min(low + _BLOCK, end)
        if not equal(low, high):
            while high - low > 1:  # invariant: equal before `low`, different somewhere before `high`
                middle = (low + high) // 2
                if equal(low, middle):
                    low = middle
                else:
                    high = middle
            return low
        low = high
    return end


def _line_end(text: str, offset: int) -> int:
    found = text.find("\n", offset)
    return len(text) if found < 0 else found + 1


def _hunks(old: Sequence[str], new: Sequence[str], start: int) -> Iterator[tuple[int, str, str]]:
    """`(offset, old text, new text)` of each group of changed lines."""
    offset, at = start, 0
    for i, i2, j, j2 in _changes(old, new):
        offset += sum(map(len, old[at:i]))
        at = i
        yield offset, "".join(old[i:i2]), "".join(new[j:j2])


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Index ranges that differ; neighbouring deletions and insertions are one replacement."""
    pending: tuple[int, int, int, int] | None = None
    for op in Indel.opcodes(old, new):
        if op.tag == "equal":
            if pending:
                yield pending
                pending = None
        elif pending:
            pending = (pending[0], op.src_end, pending[2], op.dest_end)
        else:
            pending = (op.src_start, op.src_end, op.dest_start, op.dest_end)
    if pending:
        yield pending


def _refine(offset: int, old: str, new: str) -> Iterator[TextEdit]:
    """Edits by words within one hunk, or one edit if it is large or nothing of worth is common."""
    if not old or not new or len(old) + len(new) > _MAX_REFINED:
        yield _trimmed(offset, old, new)
        return
    old_words, new_words = _WORDS.findall(old), _WORDS.findall(new)
    if Indel.normalized_similarity(old_words, new_words) < 0.5:
        yield _trimmed(offset, old, new)
        return
    for start, before, after in _hunks(old_words, new_words, offset):
        yield TextEdit(start, start + len(before), after)


def _trimmed(offset: int, old: str, new: str) -> TextEdit:
    head = common_prefix(old, new)
    tail = common_suffix(old, new, min(len(old), len(new)) - head)
    return TextEdit(offset + head, offset + len(old) - tail, new[head : len(new) - tail])
