from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from codeface_lsp.errors import EngineError, InvalidRequest, QueueFull
from codeface_lsp.inference import engine as engine_module
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.scheduler import Job
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling
from codeface_lsp.models import memory
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

Models = Callable[[str], LoadedModel]
CAUSAL = ("llama", "gpt_bigcode", "starcoder2", "qwen2", "mistral", "lfm2")


def reference(model: LoadedModel, prompt: list[int], count: int) -> list[int]:
    output = model.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt)),
        max_new_tokens=count,
        do_sample=False,
    )
    ids: list[int] = output[0, len(prompt) :].tolist()
    return ids[: ids.index(0)] if 0 in ids else ids


async def run(engine: Engine, model: LoadedModel, prompt: list[int], **fields: Any) -> list[Delta]:
    request = GenerationRequest(prompt=prompt, **{"max_tokens": 16, **fields})
    return [delta async for delta in engine.generate(model, request)]


def tokens(deltas: list[Delta]) -> list[int]:
    return [token.token_id for delta in deltas for token in delta.tokens]


def text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def prompt_of(length: int, seed: int = 0) -> list[int]:
    return [random.Random(seed).randrange(5, 500) for _ in range(length)]


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("architecture", CAUSAL)
async def test_greedy_output_equals_transformers_cold_and_warm(
    architecture: str, engine: Engine, model: Models
) -> None:
    loaded, prompt = model(architecture), prompt_of(60)
    for asked in (
        prompt,
        prompt,
        prompt[:40],
        prompt[:40] + prompt_of(9, seed=1),
        prompt + prompt_of(30, seed=2),
    ):
        assert tokens(await run(engine, loaded, asked)) == reference(loaded, asked, 16)


@pytest.mark.parametrize("architecture", CAUSAL)
async def test_warm_equals_cold_over_random_edits(architecture: str, engine: Engine, model: Models) -> None:
    loaded, chance, prompt = model(architecture), random.Random(7), prompt_of(80)
    cached = 0
    for _ in range(12):
        match chance.randrange(4):
            case 0 | 1:
                prompt = [*prompt, chance.randrange(5, 500)]
            case 2:
                prompt = prompt[: -chance.randrange(1, 6)]
            case _:
                at = chance.randrange(len(prompt))
                prompt = prompt[:at] + prompt_of(chance.randrange(1, 12), seed=at) + prompt[at + 3 :]
        deltas = await run(engine, loaded, prompt, max_tokens=5)
        assert tokens(deltas) == reference(loaded, prompt, 5)
        usage = deltas[-1].usage
        assert usage is not None
        cached += usage.cached_tokens
    assert cached > 0


async def test_one_more_key_computes_one_token(engine: Engine, model: Models) -> None:
    prompt = prompt_of(100)
    await run(engine, model("llama"), prompt)
    usage = (await run(engine, model("llama"), [*prompt, 7]))[-1].usage
    assert usage is not None
    assert usage.prompt_tokens - usage.cached_tokens <= 1


async def test_the_same_prompt_again_computes_nothing(engine: Engine, model: Models) -> None:
    prompt = prompt_of(100)
    first = await run(engine, model("llama"), prompt)
    again = await run(engine, model("llama"), prompt)
    usage = again[-1].usage
    assert usage is not None
    assert usage.cached_tokens == usage.prompt_tokens
    assert tokens(again) == tokens(first)


async def test_a_running_sequence_is_copied_for_others(engine: Engine, model: Models) -> None:
    prompt = prompt_of(60)
    expected = reference(model("llama"), prompt, 40)
    several = await asyncio.gather(*(run(engine, model("llama"), prompt, max_tokens=40) for _ in range(4)))
    assert [tokens(deltas) for deltas in several] == [expected] * 4


async def test_text_never_splits_a_character(engine: Engine, model: Models) -> None:
    loaded = model("llama")
    deltas = await run(
        engine, loaded, prompt_of(30), max_tokens=200, sampling=Sampling(temperature=3.0, seed=5)
    )
    joined = b"".join(loaded.tokenizer.token_bytes(token) for token in tokens(deltas))
    whole = joined.decode("utf-8", "replace")
    assert whole.startswith(text(deltas))
    assert set(whole[len(text(deltas)) :]) <= {"�"}


async def test_a_stop_string_ends_the_text_in_front_of_it(engine: Engine, model: Models) -> None:
    loaded, hot = model("llama"), Sampling(temperature=3.0, seed=1)
    free = text(await run(engine, loaded, prompt_of(30), max_tokens=40, sampling=hot))
    stop = free[len(free) // 2 : len(free) // 2 + 3]
    deltas = await run(engine, loaded, prompt_of(30), max_tokens=40, sampling=hot, stop=("never there", stop))
    assert text(deltas) == free[: free.index(stop)]
    assert (deltas[-1].finish_reason, deltas[-1].stop_string) == ("stop", stop)


async def test_a_seed_makes_sampling_reproducible(engine: Engine, model: Models) -> None:
    hot = Sampling(temperature=1.5, top_k=50, top_p=0.95, min_p=0.01, repetition_penalty=1.1, seed=3)
    first = await run(engine, model("llama"), prompt_of(30), sampling=hot)
    again = await run(engine, model("llama"), prompt_of(30), sampling=hot)
    assert tokens(first) == tokens(again)


async def test_a_job_hears_that_another_one_takes_over(engine: Engine) -> None:
    started, paused = threading.Event(), threading.Event()

    def chat() -> Iterator[None]:
        while not paused.is_set():
            started.set()
            yield

    engine._submit(Job(chat(), "chat", on_pause=paused.set))
    await until(started.is_set)
    engine._submit(Job(iter([None]), "inline"))
    await until(paused.is_set)


async def test_memory_is_given_back_once_nobody_asks(
    engine: Engine, model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    trims: list[int] = []
    monkeypatch.setattr(engine_module, "REST_S", 0.05)
    monkeypatch.setattr(memory, "trim", lambda: trims.append(engine.stats().running))
    assert tokens(await run(engine, model("llama"), prompt_of(30)))
    await until(lambda: bool(trims))
    assert set(trims) == {0}
    assert tokens(await run(engine, model("llama"), prompt_of(30)))


async def test_closing_the_iterator_stops_the_generation(engine: Engine, model: Models) -> None:
    deltas = engine.generate(model("llama"), GenerationRequest(prompt=prompt_of(30), max_tokens=400))
    await anext(deltas)
    await deltas.aclose()
    await until(lambda: engine.stats().running == 0)


async def test_a_newer_inline_request_supersedes_the_older_one(engine: Engine, model: Models) -> None:
    inline: dict[str, Any] = {"priority": "inline", "client": "window", "document": "file.py"}
    older = asyncio.create_task(run(engine, model("llama"), prompt_of(30), max_tokens=400, **inline))
    other = asyncio.create_task(
        run(engine, model("llama"), prompt_of(30), max_tokens=20, **{**inline, "document": "other.py"})
    )
    await until(lambda: engine.stats().running > 0)
    newer = await run(engine, model("llama"), prompt_of(31), max_tokens=5, **inline)
    assert (await older)[-1].finish_reason == "cancelled"
    assert newer[-1].finish_reason == "length"
    assert (await other)[-1].finish_reason == "length"


async def test_a_full_queue_says_busy(model: Models) -> None:
    engine = Engine(EngineSettings(threads=1, int8=False, max_queue=3, device="cpu"))
    jobs = [
        asyncio.create_task(run(engine, model("llama"), prompt_of(30), max_tokens=100, priority="batch"))
        for _ in range(40)
    ]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    await engine.aclose()
    assert any(isinstance(result, QueueFull) for result in results)
    answered = [result for result in results if isinstance(result, list)]
    assert answered
    assert all(result[-1].finish_reason == "length" for result in answered)


async def test_a_spent_time_budget_ends_with_what_there_is(engine: Engine, model: Models) -> None:
    await run(engine, model("llama"), prompt_of(30))
    deltas = await run(engine, model("llama"), prompt_of(30), max_tokens=10_000, time_budget_s=0.05)
    assert deltas[-1].finish_reason == "time"


async def test_the_answer_ends_with_the_context(engine: Engine, model: Models) -> None:
    deltas = await run(engine, model("llama"), prompt_of(500), max_tokens=100)
    assert len(tokens(deltas)) == 12
    assert deltas[-1].finish_reason == "length"


async def test_a_prompt_longer_than_the_context_keeps_its_end_and_says_so(
    engine: Engine, model: Models
) -> None:
    deltas = await run(engine, model("llama"), prompt_of(900), max_tokens=1)
    usage = deltas[-1].usage
    assert usage is not None
    assert (usage.truncated, usage.prompt_tokens) == (True, 511)
    assert tokens(deltas) == reference(model("llama"), prompt_of(900)[-511:], 1)


async def test_an_empty_prompt_is_refused(engine: Engine, model: Models) -> None:
    with pytest.raises(InvalidRequest):
        await run(engine, model("llama"), [])


async def test_log_probabilities_come_with_the_likely_alternatives(engine: Engine, model: Models) -> None:
    loaded, prompt = model("llama"), prompt_of(30)
    first = (await run(engine, loaded, prompt, max_tokens=1, top_logprobs=3))[0].tokens[0]
    logits = loaded.model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
    values, ids = logits.topk(3)
    assert [token for token, _ in first.top] == ids.tolist()
    assert first.logprob == pytest.approx(values[0].item(), abs=1e-4)


async def test_an_error_reaches_its_request_and_the_engine_goes_on(engine: Engine, model: Models) -> None:
    with pytest.raises(EngineError):
        await run(engine, model("llama"), [10_000_000])
    assert tokens(await run(engine, model("llama"), prompt_of(20))) == reference(
        model("llama"), prompt_of(20), 16
    )
