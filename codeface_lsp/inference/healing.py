"""Token healing: generation starts at a token boundary that will last, constrained to what was typed behind it.

Who types `retu` has not typed the tokens `ret` and `u`: the text will most likely go on as `return`, which the model
knows as one token, and it has never seen the halves. So the last tokens are taken back as long as some longer token
begins with their bytes, and the answer is constrained to begin with these bytes. While a word is being typed only the
constraint changes, not the prompt.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from codeface_lsp.models.types import Tokenizer

MOST_TOKENS = 4
"""Tokens taken back at most; measured on real cursor positions, more are never needed."""


class Vocabulary:
    """The bytes of every ordinary token, sorted."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        pairs = sorted(
            (raw, token) for token in range(tokenizer.vocab_size) if (raw := tokenizer.token_bytes(token))
        )
        self._raw = [raw for raw, _ in pairs]
        self._ids = np.array([token for _, token in pairs], dtype=np.int64)

    def _range(self, start: bytes) -> tuple[int, int]:
        """Where the tokens that begin with `start` stand."""
        low = bisect.bisect_left(self._raw, start)
        high = bisect.bisect_left(self._raw, start + b"\xff" * 64, low)
        return low, high

    def extends(self, start: bytes) -> bool:
        """Whether some token begins with `start` and goes on."""
        low = bisect.bisect_right(self._raw, start)
        return low < len(self._raw) and self._raw[low].startswith(start)

    def allowed(self, constraint: bytes) -> NDArray[np.int64]:
        """Ids of tokens that agree with text that must begin with `constraint`: its prefixes and its extensions."""
        low, high = self._range(constraint)
        found = [self._ids[low:high]]
        for length in range(1, len(constraint)):
            part = constraint[:length]
            first = bisect.bisect_left(self._raw, part)
            last = bisect.bisect_right(self._raw, part, first)
            found.append(self._ids[first:last])
        return np.concatenate(found)


_vocabularies: WeakKeyDictionary[Tokenizer, Vocabulary] = WeakKeyDictionary()


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """The sorted vocabulary of a tokenizer, made once."""
    known = _vocabularies.get(tokenizer)
    if known is None:
        known = _vocabularies[tokenizer] = Vocabulary(tokenizer)
    return known


def heal(tokenizer: Tokenizer, prompt: Sequence[int]) -> tuple[list[int], bytes]:
    """Split a prompt at the last boundary that no longer token crosses.

    Returns the tokens to evaluate and the bytes that the answer must begin with (`GenerationRequest.heal`). Special
    tokens are never taken back, nor is the first token.
    """
    words = vocabulary(tokenizer)
    taken, constraint = 0, b""
    tail = b""
    for count in range(1, min(MOST_TOKENS, len(prompt) - 1) + 1):
        raw = tokenizer.token_bytes(prompt[-count])
        if not raw:
            break
        tail = raw + tail
        if words.extends(tail):
            taken, constraint = count, tail
    return list(prompt[: len(prompt) - taken]), constraint


class Constraint:
    """What the answer must still begin with; never changes."""

    __slots__ = ("_tokenizer", "left")

    def __init__(self, tokenizer: Tokenizer, left: bytes) -> None:
        self._tokenizer = tokenizer
        self.left = left

    def allowed(self) -> NDArray[np.int64] | None:
        """Token ids that may come next; None once everything may."""
        return vocabulary(self._tokenizer).allowed(self.left) if self.left else None

    def after(self, token: int) -> Constraint:
        """What is left once a token was chosen."""
        if not self.left:
            return self
        return Constraint(self._tokenizer, self.left[len(self._tokenizer.token_bytes(token)) :])
