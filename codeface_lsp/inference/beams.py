"""Beam search over one line: the most probable line, not the line of the most probable tokens.

Greedy decoding commits itself token by token, and where the cursor stands inside a word that goes wrong often: of the
tokens that agree with what was typed, the likeliest may be one after which nothing agrees. Here a few beginnings of
the line are kept, by the probability of all that they spell, what was typed included. They share the keys and values
of the prompt: each step appends one token for each of them to the one cache, and each sees its own line alone (a token
tree, as in SpecInfer, Miao et al. 2024). Full Line Code Completion (Semenkin et al. 2024) searches its lines this way
too.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codeface_lsp.inference.healing import Constraint
from codeface_lsp.inference.sampling import log_sum_exp
from codeface_lsp.inference.types import TokenLogprob
from codeface_lsp.models.types import Tokenizer

Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Beam:
    """A beginning of the line: its log-probability, its tokens, and where the cache holds all of them but the last."""

    constraint: Constraint
    score: float = 0.0
    tokens: tuple[TokenLogprob, ...] = ()
    places: tuple[int, ...] = ()
    begun: bool = False
    """Whether it has more than blanks."""

    @property
    def ids(self) -> list[int]:
        """The tokens' ids."""
        return [token.token_id for token in self.tokens]

    def log_probabilities(self, logits: Row, log_total: float | None) -> tuple[Row, float]:
        """Of all tokens, -inf where the constraint forbids one; and the share, as a logarithm, of those it allows."""
        if log_total is None:
            log_total = log_sum_exp(logits)
        allowed = self.constraint.allowed()
        if allowed is None:
            return logits - np.float32(log_total), 0.0
        row = np.full_like(logits, -np.inf)
        row[allowed] = logits[allowed] - np.float32(log_total)
        return row, log_sum_exp(row[allowed]) if len(allowed) else 0.0


class LineSearch:
    """The `width` most probable beginnings of a line, one token longer after each `grow`."""

    def __init__(
        self,
        width: int,
        tokenizer: Tokenizer,
        ends: frozenset[int],
        constraint: Constraint,
        *,
        blank: bool,
    ) -> None:
        """A line ends with a line break behind what the constraint asks for, or with one of the tokens `ends`.

        Unless `blank`, a line without text does not count, and the one behind it belongs to it. An end before any
        text counts only where it is the likeliest token: among lines it would win by being short.
        """
        self._width = width
        self._tokenizer = tokenizer
        self._ends = ends
        self._blank = blank
        self.live = [Beam(constraint)]
        self._whole: Beam | None = None

    def grow(self, rows: Sequence[tuple[Row, float]]) -> None:
        """Extend the live beams; `rows` are what `Beam.log_probabilities` gives for each of them."""
        found = [
            (beam.score + float(row[token]), at, token)
            for at, (beam, (row, _)) in enumerate(zip(self.live, rows, strict=True))
            for token in _likeliest(row, 2 * self._width)
        ]
        live: list[Beam] = []
        for rank, (score, at, token) in enumerate(heapq.nlargest(len(found), found)):
            if len(live) == self._width or score == -math.inf:
                break
            beam, (row, allowed) = self.live[at], rows[at]
            said = TokenLogprob(token, float(row[token]) - allowed)
            new = self._tokenizer.token_bytes(token)[len(beam.constraint.left) :]
            grown = replace(
                beam,
                constraint=beam.constraint.after(token),
                score=score,
                tokens=(*beam.tokens, said),
                begun=beam.begun or bool(new.strip()),
            )
            head, broke, _ = new.partition(b"\n")
            empty = not beam.begun and not head.strip()
            if token not in self._ends and not (broke and (self._blank or not empty)):
                live.append(grown)
            elif (not empty or rank == 0) and (self._whole is None or score > self._whole.score):
                self._whole = grown
        self.live = live

    def placed(self, start: int) -> None:
        """The cache holds the last tokens of the live beams now, from place `start` on."""
        self.live = [replace(beam, places=(*beam.places, start + at)) for at, beam in enumerate(self.live)]

    def found(self) -> Beam | None:
        """The most probable whole line, once no beginning can become a more probable one."""
        if self._whole is None or any(beam.score > self._whole.score for beam in self.live):
            return None
        return self._whole

    def best(self) -> Beam | None:
        """The most probable of all, whole or not; None where nothing agrees with the constraint."""
        beams = self.live if self._whole is None else [self._whole, *self.live]
        return max(beams, key=lambda beam: beam.score, default=None)


def _likeliest(row: Row, count: int) -> list[int]:
    count = min(count, len(row))
    tokens: list[int] = np.argpartition(row, -count)[-count:].tolist()
    return tokens
