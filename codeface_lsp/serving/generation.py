"""What every generating route shares: sampling parameters, metrics, one place where the engine is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling
from codeface_lsp.serving.response_cache import through
from codeface_lsp.serving.schema import SamplingFields

if TYPE_CHECKING:
    from codeface_lsp.inference.engine import Engine
    from codeface_lsp.models.types import LoadedModel
    from codeface_lsp.serving.core import Core
    from codeface_lsp.serving.mock import MockEngine


def sampling(
    body: SamplingFields, model: LoadedModel, *, greedy: bool = False, repetition_penalty: float | None = None
) -> Sampling:
    """Parameters of a request over the defaults of the model's registry entry.

    `greedy` is the default where nobody says anything, as for completions; else OpenAI's temperature of 1.
    """

    def pick(name: str, fallback: Any) -> Any:
        told = getattr(body, name)
        return told if told is not None else model.defaults.get(name, fallback)

    default = Sampling()
    top_p = float(pick("top_p", default.top_p))
    return Sampling(
        # A nucleus of nothing is the most likely token alone.
        temperature=0.0 if top_p == 0 else float(pick("temperature", 0.0 if greedy else 1.0)),
        top_p=top_p or 1.0,
        top_k=int(pick("top_k", default.top_k)),
        min_p=float(pick("min_p", default.min_p)),
        repetition_penalty=float(
            repetition_penalty or pick("repetition_penalty", default.repetition_penalty)
        ),
        frequency_penalty=float(pick("frequency_penalty", default.frequency_penalty)),
        presence_penalty=float(pick("presence_penalty", default.presence_penalty)),
        seed=body.seed,
    )


def generate(
    core: Core, engine: Engine | MockEngine, model: LoadedModel, request: GenerationRequest, route: str
) -> AsyncGenerator[Delta]:
    """Ask the engine, or the cache of deterministic answers. Closing the iterator stops the generation."""

    def run() -> AsyncGenerator[Delta]:
        deltas = engine.generate(model, request)
        assert isinstance(deltas, AsyncGenerator)  # its `aclose` is what cancels
        return core.metrics.measured(
            deltas,
            model=model,
            route=route,
            request=request,
            log_request=core.settings.log.requests,
        )

    return through(core.cache, model, request, run, lambda hit: core.metrics.looked_up(hit=hit))


def generate_all(
    core: Core,
    engine: Engine | MockEngine,
    model: LoadedModel,
    requests: Sequence[GenerationRequest],
    route: str,
) -> list[AsyncGenerator[Delta]]:
    """Ask the engine for many answers in padded batches; closing one of the iterators stops them all."""
    together: asyncio.Task[list[list[Delta]]] | None = None

    async def one(index: int) -> AsyncGenerator[Delta]:
        nonlocal together
        together = together or asyncio.create_task(engine.generate_batch(model, requests))
        try:
            answers = await asyncio.shield(together)
        except asyncio.CancelledError:
            together.cancel()
            raise
        for delta in answers[index]:
            yield delta

    return [
        core.metrics.measured(
            one(index),
            model=model,
            route=route,
            request=request,
            log_request=core.settings.log.requests,
        )
        for index, request in enumerate(requests)
    ]
