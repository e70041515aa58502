"""Runs the generations of one request: one, or several side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from codeface_lsp.inference.types import Delta, FinishReason, GenerationRequest, TokenLogprob, Usage


@dataclass(slots=True)
class Answer:
    """All deltas of one generation, joined."""

    text: str = ""
    tokens: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason = "stop"
    stop_string: str | None = None
    usage: Usage = field(default_factory=Usage)

    def add(self, delta: Delta) -> None:
        """Take in a delta."""
        self.text += delta.text
        self.tokens.extend(delta.tokens)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
            self.stop_string = delta.stop_string
            self.usage = delta.usage or Usage()


def variants(request: GenerationRequest, n: int) -> list[GenerationRequest]:
    """Return `n` requests that differ in their seed only, so that a seeded request stays reproducible."""
    seed = request.sampling.seed
    if n == 1 or seed is None:
        return [request] * n
    return [replace(request, sampling=replace(request.sampling, seed=seed + i)) for i in range(n)]


async def merge(generations: Sequence[AsyncGenerator[Delta]]) -> AsyncGenerator[tuple[int, Delta]]:
    """Yield `(index, delta)` as they come. Closing it closes all; an error of one ends all."""
    if len(generations) == 1:
        async with aclosing(generations[0]) as deltas:
            async for delta in deltas:
                yield 0, delta
        return
    queue: asyncio.Queue[tuple[int, Delta | Exception | None]] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(i, g, queue)) for i, g in enumerate(generations)]
    running = len(tasks)
    try:
        while running:
            index, item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield index, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    index: int, generation: AsyncGenerator[Delta], queue: asyncio.Queue[tuple[int, Delta | Exception | None]]
) -> None:
    try:
        async with aclosing(generation) as deltas:
            async for delta in deltas:
                queue.put_nowait((index, delta))
        queue.put_nowait((index, None))
    except Exception as error:
        queue.put_nowait((index, error))


def total(usages: Sequence[Usage], choices: int = 1) -> Usage:
    """Sum up what several sequences used; each prompt has `choices` of them in a row, and counts once."""
    prompts = usages[::choices]
    return replace(
        usages[0],
        prompt_tokens=sum(u.prompt_tokens for u in prompts),
        cached_tokens=sum(u.cached_tokens for u in prompts),
        prefill_s=sum(u.prefill_s for u in prompts),
        completion_tokens=sum(u.completion_tokens for u in usages),
        decode_s=sum(u.decode_s for u in usages),
        truncated=any(u.truncated for u in usages),
    )
