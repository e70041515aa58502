"""Padded batches answer every prompt as it is answered alone, whatever the architecture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from codeface_lsp.errors import InvalidRequest
from codeface_lsp.inference import batch
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling
from codeface_lsp.models.loader import load
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings
from tests.models.architectures import GENERATORS

Checkpoint = Callable[[str], Path]
SETTINGS = EngineSettings(device="cpu", dtype="float32", int8=False, mixture=False, speculation=False)
PROMPTS = (
    "def add(first, second):\n    return",
    "x",
    "class Point:\n    def __init__(self, x, y):\n        self.x = ",
    "for index in range(10):\n",
)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(SETTINGS)
    yield engine
    await engine.aclose()


def requests(model: LoadedModel, **fields: object) -> list[GenerationRequest]:
    """Prompts of different lengths with answers of different lengths."""
    values = [
        {"prompt": model.tokenizer.encode(p), "max_tokens": 5 + 6 * i, **fields}
        for i, p in enumerate(PROMPTS)
    ]
    return [GenerationRequest(**value) for value in values]  # type: ignore[arg-type]


async def alone(engine: Engine, model: LoadedModel, request: GenerationRequest) -> list[Delta]:
    return [delta async for delta in engine.generate(model, request)]


def said(deltas: list[Delta]) -> tuple[list[int], str, str | None, str | None]:
    last = deltas[-1]
    tokens = [token.token_id for delta in deltas for token in delta.tokens]
    return tokens, "".join(delta.text for delta in deltas), last.finish_reason, last.stop_string


@pytest.mark.parametrize("architecture", GENERATORS)
async def test_a_batch_says_what_each_prompt_gets_alone(
    checkpoint: Checkpoint, engine: Engine, architecture: str
) -> None:
    model = load(checkpoint(architecture), "completion", SETTINGS)
    asked = requests(model)
    together = await engine.generate_batch(model, asked)
    for request, answer in zip(asked, together, strict=True):
        assert said(answer) == said(await alone(engine, model, request))


async def test_stop_strings_seeds_and_limits_hold_for_each_row(
    checkpoint: Checkpoint, engine: Engine
) -> None:
    model = load(checkpoint("llama"), "completion", SETTINGS)
    sampled = requests(model, sampling=Sampling(temperature=1.0, top_k=20, repetition_penalty=1.2, seed=5))
    stop = said(await alone(engine, model, sampled[2]))[1][3:6]
    sampled[2] = replace(sampled[2], stop=(stop,))
    sampled[1] = replace(sampled[1], max_tokens=0)
    together = await engine.generate_batch(model, sampled)
    for request, answer in zip(sampled, together, strict=True):
        assert said(answer) == said(await alone(engine, model, request))
    assert said(together[2])[3] == stop


async def test_many_prompts_are_cut_into_batches(
    checkpoint: Checkpoint, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_ROWS", 3)
    model = load(checkpoint("llama"), "completion", SETTINGS)
    asked = requests(model) * 2
    together = await engine.generate_batch(model, asked)
    assert [said(a) for a in together[:4]] == [said(a) for a in together[4:]]
    usage = together[3][-1].usage
    assert usage is not None and usage.completion_tokens == 23 and usage.decode_s > 0 and usage.prefill_s > 0


async def test_an_empty_prompt_is_refused(checkpoint: Checkpoint, engine: Engine) -> None:
    model = load(checkpoint("llama"), "completion", SETTINGS)
    with pytest.raises(InvalidRequest, match="no tokens"):
        await engine.generate_batch(model, [GenerationRequest(prompt=[], max_tokens=1)])
