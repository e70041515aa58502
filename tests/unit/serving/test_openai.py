"""OpenAI's routes, field by field."""

from __future__ import annotations

import base64
import struct

import pytest

from tests.unit.serving.conftest import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT = {"messages": [{"role": "user", "content": "hello"}]}


async def test_completions_continue_a_text(api: Api) -> None:
    answer = await api.post("/v1/completions", {"prompt": "x = ", "max_tokens": 100})
    assert answer["object"] == "text_completion"
    choice = answer["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("mock()  # mock\n", "stop")
    assert answer["usage"]["total_tokens"] == 4 + len(choice["text"])


async def test_suffix_fills_in_the_middle(api: Api) -> None:
    answer = await api.post("/v1/completions", {"prompt": "def f():", "suffix": "\n", "max_tokens": 100})
    assert answer["choices"][0]["text"].startswith("\n    return")


async def test_several_prompts_and_choices_are_numbered_in_order(api: Api) -> None:
    body = {"prompt": ["def f():", "x = "], "n": 2, "max_tokens": 100}
    texts = [choice["text"] for choice in (await api.post("/v1/completions", body))["choices"]]
    assert texts == ["\n    return mock()  # mock\n"] * 2 + ["mock()  # mock\n"] * 2


async def test_a_prompt_of_tokens(api: Api) -> None:
    answer = await api.post("/v1/completions", {"prompt": list(b"x = "), "max_tokens": 6})
    assert answer["choices"][0]["text"] == "mock()"
    status, error = await api.error("/v1/completions", {"prompt": [100_000]})
    assert (status, error["param"]) == (400, "prompt")


async def test_echo_logprobs_and_stop(api: Api) -> None:
    body = {"prompt": "x = ", "echo": True, "logprobs": 0, "stop": "(", "max_tokens": 50}
    choice = (await api.post("/v1/completions", body))["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("x = mock", "stop")
    assert choice["logprobs"]["tokens"] == list("mock")
    assert len(choice["logprobs"]["token_logprobs"]) == len(choice["logprobs"]["text_offset"]) == 4


async def test_a_completion_stream_reports_usage_only_when_asked(api: Api) -> None:
    body = {"prompt": "x = ", "max_tokens": 100}
    assert not any("usage" in event for event in await api.events("/v1/completions", body))
    events = await api.events("/v1/completions", body | {"stream_options": {"include_usage": True}})
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 15
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


async def test_chat_answers_and_streams(api: Api) -> None:
    answer = await api.post("/v1/chat/completions", CHAT)
    assert answer["object"] == "chat.completion"
    message = answer["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert "You asked: hello" in message["content"]
    events = await api.events("/v1/chat/completions", CHAT)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    said = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
    assert said == message["content"]
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


async def test_chat_takes_content_in_parts_and_every_role(api: Api) -> None:
    body = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]},
        ],
        "max_completion_tokens": 500,
    }
    answer = await api.post("/v1/chat/completions", body)
    assert "You asked: hello" in answer["choices"][0]["message"]["content"]


async def test_chat_gives_n_choices_and_logprobs(api: Api) -> None:
    body = CHAT | {"n": 3, "logprobs": True, "top_logprobs": 2, "max_tokens": 4}
    choices = (await api.post("/v1/chat/completions", body))["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    for choice in choices:
        assert len(choice["logprobs"]["content"]) == 4
        assert choice["finish_reason"] == "length"
        assert {"token", "logprob", "bytes", "top_logprobs"} == set(choice["logprobs"]["content"][0])


async def test_a_conversation_that_is_too_long_loses_its_oldest_turns_never_the_system_prompt(
    api: Api,
) -> None:
    turns = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"turn {i} " * 60} for i in range(61)]
    body = {"messages": [{"role": "system", "content": "SYSTEM"}, *turns], "max_tokens": 10}
    answer = await api.post("/v1/chat/completions", body)
    assert answer["truncated"] is True
    assert answer["usage"]["prompt_tokens"] <= 8192


async def test_embeddings_in_both_encodings(api: Api) -> None:
    plain = await api.post("/v1/embeddings", {"input": ["one two", "three"]})
    packed = await api.post("/v1/embeddings", {"input": ["one two", "three"], "encoding_format": "base64"})
    for row, other in zip(plain["data"], packed["data"], strict=True):
        raw = base64.b64decode(other["embedding"])
        unpacked = struct.unpack(f"<{len(raw) // 4}f", raw)
        assert all(abs(a - b) < 1e-6 for a, b in zip(row["embedding"], unpacked, strict=True))
    assert plain["usage"]["prompt_tokens"] > 0


async def test_models_are_listed_and_shown(api: Api) -> None:
    listed = (await api.client.get("/v1/models")).json()["data"]
    assert [model["id"] for model in listed] == ["mock"]
    assert (await api.client.get("/v1/models/mock")).json() == listed[0]
    missing = await api.client.get("/v1/models/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_model")


async def test_tokenize_and_back(api: Api) -> None:
    tokens = (await api.post("/tokenize", {"content": "naïve"}))["tokens"]
    assert (await api.post("/detokenize", {"tokens": tokens}))["content"] == "naïve"
    pieces = (await api.post("/tokenize", {"content": "ab", "with_pieces": True}))["tokens"]
    assert pieces == [{"id": 97, "piece": "a"}, {"id": 98, "piece": "b"}]


async def test_a_deterministic_answer_comes_from_the_cache_the_second_time(api: Api) -> None:
    async def hits() -> float:
        return metric((await api.client.get("/metrics")).text, 'response_cache_lookups_total{result="hit"}')

    body = CHAT | {"temperature": 0, "max_tokens": 77}
    before = await hits()
    first = await api.post("/v1/chat/completions", body)
    assert await hits() == before
    second = await api.post("/v1/chat/completions", body)
    assert await hits() == before + 1
    assert first["choices"] == second["choices"]


async def test_what_was_generated_is_counted(api: Api) -> None:
    await api.post("/v1/chat/completions", CHAT)
    text = (await api.client.get("/metrics")).text
    assert metric(text, 'generated_tokens_total{model="mock",route="chat"}') > 0
    assert metric(text, "running_generations") == 0


def metric(text: str, name: str) -> float:
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)
