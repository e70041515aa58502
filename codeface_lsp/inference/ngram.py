"""What followed the last tokens elsewhere in the open file and its neighbours.

A small model does not know the user's names; the file does. `NgramIndex` answers, for the end of a context, which
tokens followed the same 1 to 8 tokens in the indexed texts. The answer is mixed into the model's probabilities (a
cache mixture: Grave et al. 2017, "Improving Neural Language Models with a Continuous Cache"; nested, the open file
over its neighbours, as in Hellendoorn and Devanbu 2017, "Are Deep Neural Networks the Best Choice for Modeling Source
Code?"), and the same lookup drafts tokens for speculative decoding.

The texts of a side (the document's prefix and suffix; the neighbours) stand in one array, its positions sorted by token
and the token before it, so that a lookup is two binary searches and a little narrowing. A changed side is sorted anew
when it is next asked: about half a millisecond for 10,000 tokens. Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LONGEST_MATCH = 8
LONGEST_PART = 200_000
"""Tokens of one part that are indexed; of a longer one the last are."""
DOCUMENT_WEIGHTS = (0.18, 0.31, 0.40, 0.40, 0.40, 0.40, 0.50, 0.85)
NEIGHBOUR_WEIGHTS = (0.0, 0.06, 0.15, 0.15, 0.20, 0.30, 0.40, 0.55)
"""For each match length; fitted by `python -m training tune` for codeface-tiny."""
MOST_OCCURRENCES = 64
"""Of a more frequent match an even sample of 32 to 64 occurrences is counted."""
SHORTEST_DRAFT_MATCH = 2
DRAFT_CONTEXT = 16

_GAP = -1
_NEVER = -2
_BEHIND = np.arange(LONGEST_MATCH + 1)

Tokens = NDArray[np.int32]
Positions = NDArray[np.int64]
Floats = NDArray[np.float32]
_Item = TypeVar("_Item", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A sparse distribution and what it leaves to the model.

    The mixed distribution is `keep * model`, plus each of `shares` at its token; a token may occur more than once in
    `tokens`. `keep` plus the sum of `shares` is 1. `match` is the length of the longest match, in tokens.
    """

    keep: float
    tokens: Tokens
    shares: Floats
    match: int


_NOTHING = Prediction(1.0, np.empty(0, np.int32), np.empty(0, np.float32), 0)


class NgramIndex:
    """N-gram statistics of a document and its neighbours; one owner at a time, no locks.

    `weights[n - 1]` is the most that a match of n tokens in the document may take from shorter matches and the model,
    `neighbour_weights[n - 1]` the same in the neighbours; of equal lengths the document's match goes first. A match
    with `count` occurrences and `distinct` different continuations takes `weight * count / (count + distinct)`.
    """

    def __init__(
        self,
        weights: Sequence[float] = DOCUMENT_WEIGHTS,
        neighbour_weights: Sequence[float] = NEIGHBOUR_WEIGHTS,
    ) -> None:
        for given in (weights, neighbour_weights):
            if len(given) > LONGEST_MATCH or not all(0.0 <= weight < 1.0 for weight in given):
                raise ValueError(
                    f"weights must be at most {LONGEST_MATCH} numbers in [0, 1), one for each match length"
                )
        self.weights = tuple(float(weight) for weight in weights)
        self.neighbour_weights = tuple(float(weight) for weight in neighbour_weights)
        self._document = _Texts()
        self._neighbours = _Texts()

    def __len__(self) -> int:
        """Indexed tokens, all parts together."""
        return len(self._document) + len(self._neighbours)

    def set_document(
        self,
        tokens_by_part: Mapping[str, Sequence[int]],
        neighbours: Mapping[str, Sequence[int] | Tokens] | None = None,
    ) -> None:
        """Make these the parts of the index; a side whose tokens are the same as before is not sorted again."""
        self._document.replace(tokens_by_part)
        self._neighbours.replace(neighbours or {})

    def update(self, part: str, tokens: Sequence[int], *, neighbour: bool = False) -> None:
        """Set the tokens of one part; nothing ever matches across the border of two parts."""
        (self._neighbours if neighbour else self._document).update(part, tokens)

    def remove(self, part: str) -> None:
        """Forget one part; unknown names are ignored."""
        self._document.remove(part)
        self._neighbours.remove(part)

    def levels(self, context: Sequence[int], *, neighbours: bool = False) -> list[list[int]]:
        """Item n - 1: what followed the last n tokens of `context`, once for each occurrence; ends where none did."""
        texts = self._neighbours if neighbours else self._document
        return [followers for _, followers in texts.levels(context, 1, LONGEST_MATCH)]

    def predict(self, context: Sequence[int]) -> Prediction:
        """What followed the last tokens of `context`, the longest matches first."""
        found: list[tuple[int, int, float, list[int]]] = []
        for nearness, texts, weights in (
            (1, self._document, self.weights),
            (0, self._neighbours, self.neighbour_weights),
        ):
            shortest = next((n for n, weight in enumerate(weights, 1) if weight > 0.0), len(weights) + 1)
            for length, followers in texts.levels(context, shortest, len(weights)):
                found.append((length, nearness, weights[length - 1], followers))
        if not found:
            return _NOTHING
        found.sort(key=lambda level: level[:2], reverse=True)
        keep = 1.0
        tokens: list[int] = []
        shares: list[float] = []
        for _, _, most, followers in found:
            count = len(followers)
            weight = most * count / (count + len(set(followers)))
            tokens += followers
            shares += [keep * weight / count] * count
            keep *= 1.0 - weight
        return Prediction(keep, np.array(tokens, np.int32), np.array(shares, np.float32), found[0][0])

    def mix(self, context: Sequence[int], probabilities: Floats) -> Floats:
        """The model's next-token probabilities, shape (vocabulary,), with the predictions mixed in; a new array.

        Returns `probabilities` itself where nothing matches. Predicted ids outside the vocabulary are left out.
        """
        prediction = self.predict(context)
        if prediction.match == 0:
            return probabilities
        mixed = probabilities * np.float32(prediction.keep)
        known = prediction.tokens < len(mixed)
        np.add.at(mixed, prediction.tokens[known], prediction.shares[known])
        return mixed

    def mix_logits(self, context: Sequence[int], logits: Floats) -> tuple[Floats, float | None]:
        """Logits, shape (vocabulary,), whose softmax is `mix` of the softmax of `logits`, and their log-sum-exp.

        Only the logits of predicted tokens change, by log(1 + share / (keep * p)): one pass over the vocabulary, which
        gives the sum of the result as well. Returns `logits` itself and None where nothing matches.
        """
        prediction = self.predict(context)
        if prediction.match == 0:
            return logits, None
        tokens, shares, keep, mass = prediction.tokens, prediction.shares, prediction.keep, 1.0
        if int(tokens.max()) >= len(logits):
            known = tokens < len(logits)
            tokens, shares = tokens[known], shares[known]
            mass = keep + float(shares.sum())
        top = logits.max()
        total = float(np.exp(logits - top).sum())
        gained = np.zeros(len(logits), np.float32)
        np.add.at(gained, tokens, shares)
        mixed = logits.copy()
        mixed[tokens] = top + np.log(np.exp(logits[tokens] - top) + gained[tokens] * np.float32(total / keep))
        return mixed, float(top) + math.log(total * mass / keep)

    def draft(self, context: Sequence[int], k: int, shortest: int = SHORTEST_DRAFT_MATCH) -> list[int]:
        """At most `k` tokens that followed the longest match of the end of `context`, the last one found.

        The document is asked before its neighbours, whose match must be longer. Empty where fewer than `shortest`
        tokens match; ends at the border of a part.
        """
        near, far = self._document.longest_match(context), self._neighbours.longest_match(context)
        length, at = max(near, far, key=lambda match: match[0])
        texts = self._document if near[0] >= far[0] else self._neighbours
        return texts.run(at, k) if length >= shortest and k > 0 else []


class _Texts:
    """Several parts, searched together; matches never cross the border of two."""

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
        for name in self._parts.keys() - tokens_by_part.keys():
            self.remove(name)
        for name, tokens in tokens_by_part.items():
            self.update(name, tokens)

    def update(self, name: str, tokens: Sequence[int] | Tokens) -> None:
        known = self._parts.get(name)
        fresh = np.asarray(tokens, dtype=np.int32)[-LONGEST_PART:]
        if known is None or not np.array_equal(known, fresh):
            self._parts[name] = fresh
            self._stale = True

    def remove(self, name: str) -> None:
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
