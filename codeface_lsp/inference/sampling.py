"""Draws the next token from logits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from codeface_lsp.inference.types import Sampling, TokenLogprob


class Sampler:
    """Temperature, top-k, top-p, min-p and penalties, in the order of transformers' `generate`."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self.greedy = sampling.temperature <= 0
        self._random: torch.Generator | None = None
        if not self.greedy:
            self._random = torch.Generator()
            if sampling.seed is not None:
                self._random.manual_seed(sampling.seed)
            else:
                self._random.seed()

    def penalize(self, logits: torch.Tensor, sequence: Sequence[int], prompt_length: int) -> torch.Tensor:
        """Make tokens that occurred less likely; `logits` has shape (vocabulary,).

        The repetition penalty (Keskar et al. 2019, CTRL) counts the prompt, which is the first `prompt_length` tokens
        of `sequence`; OpenAI's frequency and presence penalties count the answer alone.
        """
        sampling = self._sampling
        if sampling.repetition_penalty != 1.0 and sequence:
            ids = torch.tensor(sorted(set(sequence)), dtype=torch.long)
            chosen, penalty = logits[ids], sampling.repetition_penalty
            logits = logits.index_copy(0, ids, torch.where(chosen < 0, chosen * penalty, chosen / penalty))
        if (sampling.frequency_penalty or sampling.presence_penalty) and len(sequence) > prompt_length:
            counts = Counter(sequence[prompt_length:])
            ids = torch.tensor(list(counts), dtype=torch.long)
            times = torch.tensor(list(counts.values()), dtype=logits.dtype)
            less = times * sampling.frequency_penalty + sampling.presence_penalty
            logits = logits.index_copy(0, ids, logits[ids] - less)
        return logits

    def draw(self, logits: torch.Tensor) -> int:
        """The next token."""
        if self.greedy:
            return int(logits.numpy().argmax())  # several times as fast as torch's for one row
        logits = self._restrict(logits / self._sampling.temperature)
        probabilities = torch.softmax(logits, dim=-1)
        return int(torch.multinomial(probabilities, 1, generator=self._random))

    def _restrict(self, logits: torch.Tensor) -> torch.Tensor:
        sampling = self._sampling
        if 0 < sampling.top_k < logits.shape[-1]:
            threshold = torch.topk(logits, sampling.top_k).values[-1]
            logits = logits.masked_fill(logits < threshold, -torch.inf)
        if sampling.top_p < 1:
            ordered, order = torch.sort(logits, descending=True)
            probabilities = torch.softmax(ordered, dim=-1)
            before = torch.cumsum(probabilities, dim=-1) - probabilities
            surplus = before >= sampling.top_p
            surplus[0] = False
            logits = logits.index_fill(0, order[surplus], -torch.inf)
        if sampling.min_p > 0:
            probabilities = torch.softmax(logits, dim=-1)
            logits = logits.masked_fill(probabilities < sampling.min_p * probabilities.max(), -torch.inf)
        return logits


def log_sum_exp(row: NDArray[np.float32]) -> float:
    """Logarithm of the sum of the exponentials; -inf where all are."""
    highest = row.max()
    return float(highest) + math.log(np.exp(row - highest).sum()) if highest > -math.inf else -math.inf


def logprob(logits: torch.Tensor, token: int, top: int, log_total: float | None = None) -> TokenLogprob:
    """Log-probability of a token under `logits` of shape (vocabulary,), with the `top` most likely ones.

    `log_total` is the log-sum-exp of `logits` where it is known already.
    """
    row = logits.numpy()
    if log_total is None:
        log_total = log_sum_exp(row)
    best: tuple[tuple[int, float], ...] = ()
    if top > 0:
        values, ids = torch.topk(logits, min(top, logits.shape[-1]))
        best = tuple(zip(ids.tolist(), (values - log_total).tolist(), strict=True))
    return TokenLogprob(token, float(row[token]) - log_total, best)
