from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from codeface_lsp.inference.drafting import Drafter
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest, Sampling, Usage
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings


async def run(model: LoadedModel, *, speculation: bool, **fields: Any) -> tuple[list[int], Usage]:
    engine = Engine(EngineSettings(threads=1, int8=False, mixture=False, speculation=speculation))
    request = GenerationRequest(**{"max_tokens": 60, "priority": "chat", **fields})
    deltas = [delta async for delta in engine.generate(model, request)]
    await engine.aclose()
    usage = deltas[-1].usage
    assert usage is not None
    return [token.token_id for delta in deltas for token in delta.tokens], usage


@pytest.mark.parametrize("architecture", ["llama", "gpt_bigcode", "starcoder2", "qwen2"])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
async def test_drafting_changes_nothing_but_the_number_of_passes(
    architecture: str, temperature: float, model: Callable[[str], LoadedModel]
) -> None:
    """The text to copy from differs from the answer in every sixth token, so that drafts fail too."""
    fields = {
        "prompt": [random.Random(1).randrange(5, 500) for _ in range(50)],
        "sampling": Sampling(temperature=temperature, top_k=3, seed=4),
    }
    plain, _ = await run(model(architecture), speculation=False, **fields)
    nearly = [token if at % 6 else (token + 1) % 500 for at, token in enumerate(plain, 1)]
    drafted, usage = await run(model(architecture), speculation=True, draft_from=nearly, **fields)
    assert drafted == plain
    assert usage.drafted_tokens > usage.accepted_tokens


async def test_text_that_is_copied_is_drafted(model: Callable[[str], LoadedModel]) -> None:
    """What the model will write is put into `draft_from`, as an edit that keeps most of a function would have it."""
    prompt = [random.Random(3).randrange(5, 500) for _ in range(50)]
    answer, _ = await run(model("llama"), speculation=False, prompt=prompt)
    again, usage = await run(model("llama"), speculation=True, prompt=prompt, draft_from=prompt[-4:] + answer)
    assert again == answer
    assert usage.accepted_tokens > 0.7 * len(answer)


def test_failing_drafts_pause_and_get_shorter(model: Callable[[str], LoadedModel]) -> None:
    from codeface_lsp.inference.documents import Documents

    prompt = [5, 6, 7, 8, 9, 10, 11] * 5
    drafter = Drafter(
        Documents(model("llama").tokenizer, mixes=False),
        GenerationRequest(prompt=prompt, max_tokens=5),
        prompt,
        enabled=True,
    )
    attempts = 0
    for _ in range(100):
        draft = drafter.draft(prompt, 20)
        if draft:
            attempts += 1
            drafter.learned(len(draft), 0)
    assert 0 < attempts < 12
