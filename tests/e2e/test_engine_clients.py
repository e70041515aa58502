"""The engine's API with the clients that people have: the `openai` package and curl."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from codeface_lsp.settings import EngineSettings, Settings
from tests.unit.serving.conftest import TOKEN, Api, running

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def api() -> AsyncGenerator[Api]:
    async with running(Settings(engine=EngineSettings(mock=True))) as made:
        yield made


@pytest.fixture
async def client(api: Api) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


async def curl(api: Api, path: str, *options: str, token: str = TOKEN) -> tuple[int, str]:
    program = shutil.which("curl")
    assert program, "these tests need curl"
    process = await asyncio.create_subprocess_exec(
        *(program, "-sS", "-m", "30", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {token}"),
        *(*options, api.url + path),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    body, _, status = out.decode().rpartition("\n")
    return int(status), body


class TestOpenAiPackage:
    async def test_chat(self, client: openai.AsyncOpenAI) -> None:
        answer = await client.chat.completions.create(model="mock", messages=MESSAGES, seed=1, n=2)
        assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
        assert "You asked: hello" in (answer.choices[0].message.content or "")
        assert answer.usage is not None
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

    async def test_a_chat_stream_with_usage(self, client: openai.AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(
            model="mock", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert "You asked: hello" in said
        assert chunks[-1].usage is not None
        assert len({chunk.id for chunk in chunks}) == 1

    async def test_completions_with_suffix_logprobs_and_stop(self, client: openai.AsyncOpenAI) -> None:
        answer = await client.completions.create(
            model="mock", prompt="def f():", suffix="\n", max_tokens=100, logprobs=1, stop=["("]
        )
        choice = answer.choices[0]
        assert choice.text == "\n    return mock"
        assert choice.logprobs is not None
        assert choice.logprobs.tokens is not None
        assert "".join(choice.logprobs.tokens) == choice.text

    async def test_embeddings_in_the_encoding_that_the_package_asks_for(
        self, client: openai.AsyncOpenAI
    ) -> None:
        answer = await client.embeddings.create(model="mock", input=["one", "two"])
        assert [row.index for row in answer.data] == [0, 1]
        assert abs(sum(x * x for x in answer.data[0].embedding) - 1) < 1e-5

    async def test_models(self, client: openai.AsyncOpenAI) -> None:
        assert [model.id async for model in client.models.list()] == ["mock"]
        assert (await client.models.retrieve("mock")).owned_by == "codeface"

    async def test_errors_are_the_package_s_own(self, api: Api, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as bad:
            await client.chat.completions.create(model="mock", messages=MESSAGES, n=1000)
        assert (bad.value.param, bad.value.type) == ("n", "invalid_request_error")
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nothing")
        async with openai.AsyncOpenAI(base_url=f"{api.url}/v1", api_key="wrong", max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError, match="token"):
                await stranger.models.list()

    async def test_leaving_a_stream_early_stops_the_generation(
        self, api: Api, client: openai.AsyncOpenAI
    ) -> None:
        long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 1000}]
        stream = await client.chat.completions.create(
            model="mock", messages=long, stream=True, max_tokens=8000
        )
        await anext(aiter(stream))
        assert "running_generations 1.0" in (await api.client.get("/metrics")).text
        await stream.close()
        metrics = ""
        async with asyncio.timeout(10):
            while "running_generations 0.0" not in metrics:
                metrics = (await api.client.get("/metrics")).text
        assert 'cancelled_generations_total{model="mock",route="chat"} 1.0' in metrics


class TestCurl:
    async def test_infill(self, api: Api) -> None:
        body = json.dumps({"input_prefix": "def f():", "input_suffix": "\n"})
        status, answer = await curl(api, "/infill", "-d", body)
        assert status == 200
        assert json.loads(answer)["content"].startswith("\n    return")

    async def test_a_stream_is_server_sent_events(self, api: Api) -> None:
        body = json.dumps({"prompt": "x = ", "stream": True})
        _, answer = await curl(api, "/v1/completions", "-N", "-d", body)
        lines: list[Any] = [line for line in answer.split("\n") if line]
        assert all(line.startswith("data: ") for line in lines)
        assert lines[-1] == "data: [DONE]"

    async def test_a_large_upload_is_refused_by_its_announcement(self, api: Api, tmp_path: Any) -> None:
        file = tmp_path / "large"
        with file.open("wb") as out:
            out.truncate(100 << 20)
        status, answer = await curl(api, "/infill", "--data-binary", f"@{file}")
        assert (status, json.loads(answer)["error"]["code"]) == (413, "body_too_large")

    async def test_the_wrong_token_and_a_web_page(self, api: Api) -> None:
        assert (await curl(api, "/health", token="wrong"))[0] == 401
        assert (await curl(api, "/health", "-H", "Origin: https://evil.example"))[0] == 403
        assert (await curl(api, "/health", "-H", "Host: evil.example"))[0] == 403
        assert (await curl(api, "/health"))[0] == 200
