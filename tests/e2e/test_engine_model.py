"""The engine with the model that comes with CodeFace: what the API promises holds for real generations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from codeface_lsp.settings import EngineSettings, Settings
from tests.http_servers import eventually
from tests.unit.serving.conftest import TOKEN, Api, running
from tests.unit.serving.test_watcher import connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

PREFIX = (
    "import os\n\n\ndef total(items):\n    result = 0\n    for item in items:\n        result += item\n    "
)
BODY: dict[str, Any] = {"input_prefix": PREFIX, "input_suffix": "\n\nprint(total([1]))\n", "filename": "a.py"}
LONG = {
    "messages": [{"role": "user", "content": "Write a long story."}],
    "max_tokens": 1500,
    "temperature": 0.9,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api() -> AsyncGenerator[Api]:
    async with running(Settings(engine=EngineSettings(threads=1, max_queue=8))) as made:
        await made.post("/infill", BODY | {"n_predict": 1})
        yield made


async def unending(
    api: Api, route: str, body: dict[str, Any], *, limit: str, tokens: int = 200
) -> dict[str, Any]:
    """`body` with a seed whose answer goes on for `tokens` at least: by chance, one in sixty ends at its first."""
    for seed in range(50):
        answer = await api.post(route, body | {limit: tokens, "seed": seed})
        ended = answer["choices"][0]["finish_reason"] if "choices" in answer else answer["stop_type"]
        if ended in ("length", "limit"):
            await idle(api)
            return body | {"seed": seed}
    raise AssertionError(f"with none of fifty seeds the model said {tokens} tokens")


async def running_generations(api: Api) -> int:
    stats = (await api.core.parts()).engine.stats()  # type: ignore[union-attr]
    return stats.running + stats.waiting


async def idle(api: Api) -> None:
    async with asyncio.timeout(20):
        while await running_generations(api):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_key_that_follows_costs_a_token_or_two(api: Api) -> None:
    await api.post("/infill", BODY | {"n_predict": 4})
    answer = await api.post("/infill", BODY | {"input_prefix": PREFIX + "ret", "n_predict": 4})
    assert answer["tokens_evaluated"] - answer["tokens_cached"] <= 4
    assert answer["tokens_cached"] > 30


async def test_a_split_word_is_healed_and_only_its_rest_is_said(api: Api) -> None:
    healed = await api.post("/infill", BODY | {"input_prefix": PREFIX + "retu", "n_predict": 4})
    assert healed["content"].startswith("rn")


async def test_greedy_answers_are_the_same_over_every_route_and_streamed_or_not(api: Api) -> None:
    body = {"prompt": "def add(first, second):\n", "max_tokens": 12, "temperature": 0, "client": "a"}
    plain = (await api.post("/v1/completions", body))["choices"][0]["text"]
    streamed = await api.events("/v1/completions", body | {"logprobs": 1})
    assert "".join(e["choices"][0]["text"] for e in streamed if e["choices"]) == plain
    ids = (await api.post("/tokenize", {"content": body["prompt"]}))["tokens"]
    by_ids = await api.post("/v1/completions", body | {"prompt": ids, "logprobs": 0})
    assert by_ids["choices"][0]["text"] == plain


async def test_log_probabilities_are_those_of_the_best_tokens(api: Api) -> None:
    body = {"prompt": "import ", "max_tokens": 3, "temperature": 0, "logprobs": 3}
    told = (await api.post("/v1/completions", body))["choices"][0]["logprobs"]
    for logprob, top in zip(told["token_logprobs"], told["top_logprobs"], strict=True):
        assert len(top) == 3
        assert logprob == pytest.approx(max(top.values()), abs=1e-4)


async def test_a_file_that_contains_special_tokens_completes_as_any_other(api: Api) -> None:
    text = "MARKERS = ['<fim_prefix>', '<fim_middle>', '<|endoftext|>', '<file_sep>']\n"
    ids = (await api.post("/tokenize", {"content": text}))["tokens"]
    assert (await api.post("/detokenize", {"tokens": ids}))["content"] == text
    answer = await api.post("/infill", BODY | {"input_prefix": text + PREFIX, "n_predict": 5})
    assert answer["tokens_evaluated"] > len(ids)
    assert answer["tokens_predicted"] >= 1


async def test_a_prompt_that_is_too_long_keeps_the_cursor_s_surroundings(api: Api) -> None:
    extra = [{"filename": f"{i}.py", "text": "x = 1\n" * 800} for i in range(5)]
    answer = await api.post(
        "/infill",
        BODY | {"input_prefix": "y = 2\n" * 3000 + PREFIX + "retu", "input_extra": extra, "n_predict": 3},
    )
    assert answer["truncated"] is True
    assert answer["tokens_evaluated"] <= 2048
    assert answer["content"].startswith("rn")


async def test_a_conversation_that_is_too_long_is_answered_and_said(api: Api) -> None:
    messages = [{"role": "user", "content": "def f(x): return x\n" * 2000}]
    answer = await api.post("/v1/chat/completions", {"messages": messages, "max_tokens": 4})
    assert answer["truncated"] is True
    assert answer["usage"]["prompt_tokens"] <= 2048


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_goes_away_ends_its_generation(api: Api, streamed: bool) -> None:
    long = await unending(api, "/v1/chat/completions", LONG, limit="max_tokens")
    body = json.dumps(long | {"stream": streamed})
    headers = (f"Authorization: Bearer {TOKEN}", f"Content-Length: {len(body)}")
    connection = connect(api.url, "/v1/chat/completions", *headers, method="POST", body=body)
    async with asyncio.timeout(20):
        while not await running_generations(api):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    connection.close()
    await idle(api)
    metrics = (await api.client.get("/metrics")).text
    cancelled = next(line for line in metrics.splitlines() if line.startswith("cancelled_generations_total"))
    assert 'route="chat"' in cancelled


@pytest.mark.parametrize("streamed", [True, False])
async def test_no_step_but_the_one_in_progress_is_taken_once_the_watcher_noticed(
    api: Api, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = await unending(api, "/v1/chat/completions", LONG, limit="max_tokens")
    parts = await api.core.parts()
    engine: Any = parts.engine
    model = await parts.manager.acquire(None, "chat")
    parts.manager.release(model)
    runner = engine.prepare(model).runner
    steps: list[str] = []
    forward, cancel = runner.forward, engine._scheduler.cancel

    def counted_forward(*args: Any, **kwargs: Any) -> Any:
        steps.append("step")
        return forward(*args, **kwargs)

    def counted_cancel(job: Any) -> None:
        steps.append("noticed")
        cancel(job)

    monkeypatch.setattr(runner, "forward", counted_forward)
    monkeypatch.setattr(engine._scheduler, "cancel", counted_cancel)
    body = json.dumps(long | {"stream": streamed})
    headers = (f"Authorization: Bearer {TOKEN}", f"Content-Length: {len(body)}")
    connection = connect(api.url, "/v1/chat/completions", *headers, method="POST", body=body)
    await eventually(lambda: len(steps) > 3)
    connection.close()
    await eventually(lambda: "noticed" in steps)
    await idle(api)
    assert steps[steps.index("noticed") :].count("step") <= 1


async def test_a_newer_request_for_a_document_takes_the_older_one_s_place(api: Api) -> None:
    plain = BODY | {"client": "w", "n_predict": 400, "temperature": 1.0}
    long = await unending(api, "/infill", plain, limit="n_predict")
    body = long | {"document": {"id": "a", "version": 1}}
    older = asyncio.create_task(api.post("/infill", body))
    async with asyncio.timeout(20):
        while not await running_generations(api):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    newer = await api.post("/infill", body | {"n_predict": 2, "document": {"id": "a", "version": 2}})
    assert newer["tokens_predicted"] >= 1
    assert (await older)["stop_type"] == "cancelled"


async def test_a_full_queue_is_a_503_that_says_when_to_try_again(api: Api) -> None:
    long = await unending(api, "/v1/chat/completions", LONG, limit="max_tokens")
    chats = [asyncio.create_task(api.client.post("/v1/chat/completions", json=long)) for _ in range(40)]
    done, running = await asyncio.wait(chats, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert done
    for chat in done:
        answer = chat.result()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
        assert answer.headers["retry-after"] == "1"
    inline = asyncio.create_task(api.client.post("/infill", json=BODY | {"n_predict": 2}))
    for chat in running:
        chat.cancel()
    assert (await inline).status_code in (200, 503)
    await idle(api)
    await eventually(lambda: all(chat.done() for chat in chats))


async def test_sampling_with_a_seed_is_repeatable_and_n_choices_differ(api: Api) -> None:
    body = {"prompt": "def ", "max_tokens": 8, "temperature": 1.2, "seed": 11, "n": 3, "logprobs": 0}
    first = [choice["text"] for choice in (await api.post("/v1/completions", body))["choices"]]
    second = [choice["text"] for choice in (await api.post("/v1/completions", body))["choices"]]
    assert first == second
    assert len(set(first)) > 1


async def test_a_stop_string_of_a_stream_never_shows(api: Api) -> None:
    events = await api.events(
        "/infill", BODY | {"n_predict": 60, "stop": ["\n"], "temperature": 0.3, "seed": 1}
    )
    assert "\n" not in "".join(event["content"] for event in events)
