"""What followed the last tokens elsewhere in the open file and its neighbours.

A small model does not know the user's names; the file does. `NgramIndex` answers, for the end of a context, which
tokens followed the same 1 to 8 tokens in the indexed texts. The answer is mixed into the model's probabilities (a
cache mixture: Grave et al. 2017, "Improving Neural Language Models with a Continuous Cache"; nested, the open file
over its neighbours, as in Hellendoorn and Devanbu 2017, "Are Deep Neural Networks the Best Choice for Modeling Source
Code?"), and the same lookup drafts tokens for speculative decoding.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codeface_lsp.inference.token_index import LONGEST_MATCH, TokenIndex, Tokens

DOCUMENT_WEIGHTS = (0.18, 0.31, 0.40, 0.40, 0.40, 0.40, 0.50, 0.85)
NEIGHBOUR_WEIGHTS = (0.0, 0.06, 0.15, 0.15, 0.20, 0.30, 0.40, 0.55)
"""For each match length; fitted by `python -m training tune` for codeface-tiny."""
SHORTEST_DRAFT_MATCH = 2

Floats = NDArray[np.float32]


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
        self._document = TokenIndex()
        self._neighbours = TokenIndex()

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
