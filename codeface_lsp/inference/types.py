"""What goes into the generation loop and what comes out of it. The loop knows tokens; text is added around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Priority = Literal["inline", "chat", "prefetch", "batch"]
"""Urgency at each scheduling step, most urgent first."""

FinishReason = Literal["eos", "stop", "length", "time", "cancelled"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from the logits; `temperature` 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One sequence to generate.

    `prompt` are the tokens that are evaluated; `heal` are bytes that the answer must begin with and that are not part
    of the answer (what the user typed behind the last stable token boundary). `document` names the open document whose
    n-grams are mixed in and drafted from; a newer inline request of the same document supersedes an older one.
    With `search_line` the first line is found by beam search, where the engine searches and the sampling is greedy.
    """

    prompt: list[int]
    max_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    heal: bytes = b""
    priority: Priority = "chat"
    client: str = ""
    document: str | None = None
    time_budget_s: float | None = None
    top_logprobs: int = 0
    draft_from: list[int] | None = None
    search_line: bool = False


@dataclass(slots=True)
class Usage:
    """Figures of one sequence, counted up as it goes.

    Times in seconds; `cached_tokens` of `prompt_tokens` came from the prefix cache.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A generated token, its log-probability (nats) and the most likely alternatives."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of a sequence; the last one has a `finish_reason` and the `usage`."""

    text: str = ""
    tokens: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    stop_string: str | None = None
    usage: Usage | None = None
