"""Several generations of one request, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from codeface_lsp.errors import OutOfMemory
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling, Usage
from codeface_lsp.serving.choices import Answer, merge, total, variants

closed: list[str] = []


async def saying(name: str, *words: str) -> AsyncGenerator[Delta]:
    try:
        for word in words:
            await asyncio.sleep(0)
            yield Delta(text=word)
        yield Delta(finish_reason="eos", usage=Usage(prompt_tokens=5, completion_tokens=len(words)))
    finally:
        closed.append(name)


async def failing() -> AsyncGenerator[Delta]:
    yield Delta(text="x")
    raise OutOfMemory("The device has no memory left; use a smaller model.")


async def test_deltas_come_with_the_number_of_their_generation() -> None:
    answers = {0: Answer(), 1: Answer()}
    async for index, delta in merge([saying("a", "one ", "two"), saying("b", "three")]):
        answers[index].add(delta)
    assert [answer.text for answer in answers.values()] == ["one two", "three"]
    usages = [answer.usage for answer in answers.values()]
    assert total(usages, choices=2) == Usage(prompt_tokens=5, completion_tokens=3)
    assert total(usages) == Usage(prompt_tokens=10, completion_tokens=3)


@pytest.mark.parametrize("count", [1, 3])
async def test_closing_closes_every_generation(count: int) -> None:
    closed.clear()
    merged = merge([saying(str(i), *["x"] * 100) for i in range(count)])
    await anext(merged)
    await merged.aclose()
    assert len(closed) == count


async def test_an_error_of_one_ends_all() -> None:
    closed.clear()
    with pytest.raises(OutOfMemory):
        async for _ in merge([saying("a", *["x"] * 1000), failing()]):
            pass
    assert closed == ["a"]


def test_seeded_choices_differ_and_stay_reproducible() -> None:
    seeded = GenerationRequest([1], 5, Sampling(temperature=1, seed=7))
    assert [v.sampling.seed for v in variants(seeded, 3)] == [7, 8, 9]
    assert [v.sampling.seed for v in variants(GenerationRequest([1], 5), 2)] == [None, None]
