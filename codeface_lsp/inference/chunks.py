"""How many tokens a prefill takes between two scheduling points: sized by time, measured as it goes."""

from __future__ import annotations

SMALLEST = 8
LARGEST = 1024
GUESSED_FLOPS = 1.5e11
_MEMORY = 0.5
"""Weight of the newest measurement."""


class ChunkSizer:
    """Chunks of one model. The first guess comes from its size, later ones from how long passes took."""

    def __init__(self, target_s: float, parameters: int) -> None:
        """`target_s` is how long a chunk may take."""
        self._target_s = target_s
        self._token_s = 2 * max(parameters, 1) / GUESSED_FLOPS
        self._measured = False
        self._largest = LARGEST

    @property
    def size(self) -> int:
        """Tokens of the next chunk, a multiple of 8."""
        fitting = int(self._target_s / self._token_s) // SMALLEST * SMALLEST
        return max(SMALLEST, min(self._largest, fitting))

    def limit(self, tokens: int) -> None:
        """Never more than so many tokens from now on: there was no memory for more."""
        self._largest = max(SMALLEST, min(self._largest, tokens))

    def measured(self, tokens: int, seconds: float) -> None:
        """Take in the duration of a pass; short ones say little about the time per token and are ignored."""
        if tokens < SMALLEST:
            return
        token_s = max(seconds / tokens, 1e-9)
        weight = _MEMORY if self._measured else 1.0
        self._token_s += weight * (token_s - self._token_s)
        self._measured = True
