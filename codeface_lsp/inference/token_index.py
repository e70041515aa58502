"""Where a token sequence occurs in several texts, and what followed it.

The texts stand in one array, its positions sorted by token and the token before it, so that a lookup is two binary
searches and a little narrowing. Texts that changed are sorted anew when next asked: about half a millisecond for 10,000
tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LONGEST_MATCH = 8
LONGEST_PART = 200_000
"""Tokens of one part that are indexed; of a longer one the last are."""
MOST_OCCURRENCES = 64
"""Of a more frequent match an even sample of 32 to 64 occurrences is counted."""
DRAFT_CONTEXT = 16

_GAP = -1
_NEVER = -2
_BEHIND = np.arange(LONGEST_MATCH + 1)

Tokens = NDArray[np.int32]
Positions = NDArray[np.int64]
_Item = TypeVar("_Item", bound=np.generic)


class TokenIndex:
    """Several texts, searched together; matches never cross the border of two."""

    def __init__(self) -> None:
        self._parts: dict[str, Tokens] = {}
        self._joined: Tokens = np.empty(0, np.int32)
        self._order: Positions = np.empty(0, np.int64)
        self._before: Tokens = np.empty(0, np.int32)
        self._after: Tokens = np.empty(0, np.int32)
        self._starts: Positions = np.zeros(1, np.int64)
        self._singles: dict[int, list[int]] = {}
        self._stale = False

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def replace(self, tokens_by_part: Mapping[str, Sequence[int] | Tokens]) -> None:
        """Make these the texts."""
        for name in self._parts.keys() - tokens_by_part.keys():
            self.remove(name)
        for name, tokens in tokens_by_part.items():
            self.update(name, tokens)

    def update(self, name: str, tokens: Sequence[int] | Tokens) -> None:
        """Set one text; the same tokens as before change nothing."""
        known = self._parts.get(name)
        fresh = np.asarray(tokens, dtype=np.int32)[-LONGEST_PART:]
        if known is None or not np.array_equal(known, fresh):
            self._parts[name] = fresh
            self._stale = True

    def remove(self, name: str) -> None:
        """Forget one text; unknown names are ignored."""
        if self._parts.pop(name, None) is not None:
            self._stale = True

    def levels(self, context: Sequence[int], shortest: int, longest: int) -> list[tuple[int, list[int]]]:
        """Match lengths from `shortest` on with the tokens that followed, until nothing matches."""
        levels: list[tuple[int, list[int]]] = []
        start, end = self._occurrences(context)
        longest = min(longest, len(context))
        if start == end or longest < 1:
            return levels
        if shortest <= 1:
            levels.append((1, self._single(context[-1], start, end)))
        if longest == 1:
            return levels
        start, end = self._narrowed(start, end, context[-2])
        positions, followers, length = self._order[start:end], self._after[start:end], 2
        while len(positions) >= MOST_OCCURRENCES and length < longest:
            if length >= shortest:
                levels.append((length, _sampled(followers).tolist()))
            length += 1
            matches = self._joined[positions - (length - 1)] == context[-length]
            positions, followers = positions[matches], followers[matches]
        if len(positions):
            rest = self._last_levels(
                context, _sampled(positions), _sampled(followers).tolist(), length, longest
            )
            levels += rest[max(shortest - length, 0) :]
        return levels

    def _last_levels(
        self, context: Sequence[int], positions: Positions, followers: list[int], matched: int, longest: int
    ) -> list[tuple[int, list[int]]]:
        """The levels from `matched` on of few positions, which all match that far: in one comparison."""
        if matched == longest:
            return [(longest, followers)]
        wanted = np.array([*context[-matched - 1 : -longest - 1 : -1], _NEVER], np.int32)
        further = (self._joined[positions[:, None] - _BEHIND[matched : longest + 1]] == wanted).argmin(axis=1)
        lengths = further.tolist()
        return [
            (matched + n, [token for token, more in zip(followers, lengths, strict=True) if more >= n])
            for n in range(max(lengths) + 1)
        ]

    def _single(self, token: int, start: int, end: int) -> list[int]:
        """What followed one token; kept, because the frequent ones come again and again."""
        known = self._singles.get(token)
        if known is None:
            known = self._singles[token] = _sampled(self._after[start:end]).tolist()
        return known

    def longest_match(self, context: Sequence[int]) -> tuple[int, int]:
        """Length and last position of the longest match of the end of `context`; length 0 where there is none."""
        start, end = self._occurrences(context)
        if start == end:
            return 0, 0
        length, positions = 1, self._order[start:end]
        while length < min(DRAFT_CONTEXT, len(context)):
            narrowed = positions[self._joined[positions - length] == context[-length - 1]]
            if not len(narrowed):
                break
            positions, length = narrowed, length + 1
        return length, int(positions.max())

    def run(self, at: int, k: int) -> list[int]:
        """At most `k` tokens after position `at`, within its part."""
        following = self._joined[at + 1 : at + 1 + k]
        ends = np.flatnonzero(following == _GAP)
        return [int(token) for token in (following[: ends[0]] if len(ends) else following)]

    def _occurrences(self, context: Sequence[int]) -> tuple[int, int]:
        """The range of `_order` where the last token of `context` stands."""
        if self._stale:
            self._sort()
        if not len(context) or not 0 <= context[-1] < len(self._starts) - 1:
            return 0, 0
        return int(self._starts[context[-1]]), int(self._starts[context[-1] + 1])

    def _narrowed(self, start: int, end: int, token: int) -> tuple[int, int]:
        """Of a range of one token's occurrences, the range of those that stand after `token`."""
        before = self._before[start:end]
        return start + int(before.searchsorted(token, "left")), start + int(
            before.searchsorted(token, "right")
        )

    def _sort(self) -> None:
        """Lay the parts end to end, each after a gap longer than any match, and sort the positions."""
        gap = np.full(DRAFT_CONTEXT, _GAP, np.int32)
        joined = np.concatenate([gap, *(piece for part in self._parts.values() for piece in (part, gap))])
        followed = np.flatnonzero((joined[:-1] != _GAP) & (joined[1:] != _GAP))
        before = joined[followed - 1]
        order = followed[np.argsort(_narrow(before), kind="stable")]
        order = order[np.argsort(_narrow(joined[order]), kind="stable")]
        counts = np.bincount(joined[followed]) if len(followed) else np.zeros(0, np.int64)
        self._joined, self._order = joined, order
        self._before, self._after = joined[order - 1], joined[order + 1]
        self._starts = np.concatenate(([0], np.cumsum(counts)))
        self._singles.clear()
        self._stale = False


def _sampled(occurrences: NDArray[_Item]) -> NDArray[_Item]:
    """Every n-th of many: a frequent token's followers need no exact count, and counting takes time."""
    return occurrences[:: len(occurrences) // MOST_OCCURRENCES + 1]


def _narrow(tokens: Tokens) -> NDArray[np.integer]:
    """The same order in 16 bits where the ids allow it: numpy sorts those by radix."""
    fits = not len(tokens) or int(tokens.max()) < 65_535
    return (tokens + 1).astype(np.uint16) if fits else tokens
