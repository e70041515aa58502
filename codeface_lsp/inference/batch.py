"""Many prompts at once, in padded batches: one forward pass a token for all of them, for throughput, not for latency.

Rows are padded on the left and masked, so that every row's answer is the one that it gets alone; a row that is done
leaves the batch.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from codeface_lsp.inference.output import Output
from codeface_lsp.inference.sampling import Sampler, logprob
from codeface_lsp.inference.types import Delta, FinishReason, GenerationRequest, Usage
from codeface_lsp.models.llama import Llama
from codeface_lsp.models.types import LoadedModel

MOST_ROWS = 16
MOST_TOKENS = 16_384
"""Rows times the longest prompt of a batch."""


@dataclass(slots=True)
class _Row:
    """One prompt on its way."""

    index: int
    request: GenerationRequest
    prompt: list[int]
    sampler: Sampler
    deltas: list[Delta] = field(default_factory=list)
    generated: list[int] = field(default_factory=list)
    prefill_s: float = 0.0
    decode_s: float = 0.0

    def charge(self, seconds: float) -> None:
        """Add this row's share of a forward pass, so that the rows' times sum up to the batch's."""
        if self.generated:
            self.decode_s += seconds
        else:
            self.prefill_s += seconds


def generate(
    model: LoadedModel, requests: Sequence[GenerationRequest]
) -> Generator[None, None, list[list[Delta]]]:
    """The deltas of every request, in their order; yields between steps so that more urgent work goes first.

    `model` is one that `whole` returned.
    """
    answers: list[list[Delta]] = [[] for _ in requests]
    for group in _groups(model, requests):
        for row in group:
            answers[row.index] = row.deltas
        yield from _run(model, group)
    return answers


def _groups(model: LoadedModel, requests: Sequence[GenerationRequest]) -> list[list[_Row]]:
    """Prompts of similar length together, so that little is padded."""
    room = max(1, model.context_length - 1)
    rows = [_Row(i, r, r.prompt[-room:], Sampler(r.sampling)) for i, r in enumerate(requests)]
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: len(row.prompt)):
        size = len(groups[-1]) + 1 if groups else 0
        if groups and size <= MOST_ROWS and size * len(row.prompt) <= MOST_TOKENS:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def whole(model: LoadedModel) -> LoadedModel:
    """The model with a `forward` of transformers; blocks for seconds where it was loaded without."""
    return replace(model, model=model.model.whole) if isinstance(model.model, Llama) else model


def _run(model: LoadedModel, rows: list[_Row]) -> Generator[None, None, None]:
    from transformers.cache_utils import DynamicCache  # not before it is needed: the import takes a second

    outputs = {row.index: Output(row.deltas.append, row.request.stop, len(row.request.heal)) for row in rows}
    width = max(len(row.prompt) for row in rows)
    tokens = torch.tensor([[0] * (width - len(r.prompt)) + r.prompt for r in rows])
    mask = torch.tensor([[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in rows])
    config = model.model.config.get_text_config(decoder=True)
    cache = DynamicCache(config=config)
    while rows:
        began = time.perf_counter()
        logits = _forward(model, tokens, mask, cache)
        for row in rows:
            row.charge((time.perf_counter() - began) / len(rows))
        yield
        kept: list[int] = []
        for at, row in enumerate(rows):
            reason = _step(model, row, logits[at], outputs[row.index])
            if reason is None:
                kept.append(at)
            else:
                outputs[row.index].finish(reason, _usage(row))
        if len(kept) < len(rows):
            rows = [rows[at] for at in kept]
            mask = mask[kept]
            if kept:
                cache.batch_select_indices(torch.tensor(kept, device=model.device))
        tokens = torch.tensor([[row.generated[-1]] for row in rows])
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)


def _forward(model: LoadedModel, tokens: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
    """Logits of the last column, float32 on the CPU, shape (rows, vocabulary)."""
    accepted = inspect.signature(model.model.forward).parameters
    arguments: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
    if "position_ids" in accepted:
        positions = (mask.cumsum(-1) - 1).clamp_min(0)[:, -tokens.shape[1] :]
        arguments["position_ids"] = positions.to(model.device)
    with torch.inference_mode():
        output = model.model(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            use_cache=True,
            **arguments,
        )
        logits: torch.Tensor = output.logits[:, -1].float().cpu()
    return logits


def _step(model: LoadedModel, row: _Row, logits: torch.Tensor, output: Output) -> FinishReason | None:
    request = row.request
    if request.max_tokens < 1:
        return "length"
    token = row.sampler.draw(row.sampler.penalize(logits, row.prompt + row.generated, len(row.prompt)))
    if token in model.tokenizer.eos_ids | request.stop_ids:
        return "eos"
    row.generated.append(token)
    if output.add(logprob(logits, token, request.top_logprobs), model.tokenizer.token_bytes(token)):
        return "stop"
    full = len(row.prompt) + len(row.generated) >= model.context_length
    return "length" if full or len(row.generated) >= request.max_tokens else None


def _usage(row: _Row) -> Usage:
    return Usage(
        prompt_tokens=len(row.prompt),
        completion_tokens=len(row.generated),
        prefill_s=row.prefill_s,
        decode_s=row.decode_s,
        truncated=len(row.prompt) < len(row.request.prompt),
    )
