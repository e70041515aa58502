"""Chat and explain through other people's servers, in their own dialects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from tests.e2e.test_chat import CODE, deltas, span
from tests.http_servers import FakeServer, events, serve
from tests.lsp_client import ServerError, language_server


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "qwen2.5-coder.gguf",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def llama_server(chat: Any) -> FakeServer:
    """What llama-server tells of itself, and the routes that a chat needs."""
    model = {"id": "qwen2.5-coder.gguf", "object": "model", "meta": {"n_ctx_train": 8192}}
    return FakeServer(
        {
            "/props": {"default_generation_settings": {"n_ctx": 8192}},
            "/v1/models": {"object": "list", "data": [model]},
            "/v1/chat/completions": chat,
        }
    )


def told(body: dict[str, Any]) -> Any:
    """A role first, then thoughts apart, then the answer, then the usage with no choice."""
    usage = {"prompt_tokens": 40, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 30}}
    return events(
        piece(role="assistant", content=None),
        piece(reasoning_content="hm"),
        piece(content="It "),
        piece(content="computes."),
        piece(finish="stop"),
        {"choices": [], "usage": usage, "timings": {"prompt_ms": 5.0, "predicted_ms": 7.0}},
    )


async def test_llama_server_is_recognised_and_answers(codeface_home: Path, tmp_path: Path) -> None:
    server = llama_server(told)
    async with serve(server.app) as url, language_server(codeface_home) as client:
        options = {"endpoints": [{"name": "llama", "url": url}], "context": {"index": False}}
        await client.initialize(tmp_path, options=options)
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        about = {"textDocument": {"uri": uri}, "range": span(0, 2)}
        reply = await client.request(
            "codeface/chat", {"message": "/explain", **about, "partialResultToken": "p"}
        )
        assert reply["reply"] == "It computes." and deltas(client, "p") == ["It ", "computes."]
        assert (reply["finishReason"], reply["model"]) == ("stop", "qwen2.5-coder.gguf")
        assert (reply["usage"]["promptTokens"], reply["usage"]["cachedTokens"]) == (40, 30)
        explained = await client.request("codeface/explain", about)
        assert explained == {"markdown": "It computes.", "finishReason": "stop"}
        (body, _) = server.bodies("/v1/chat/completions")
        assert body["model"] == "qwen2.5-coder.gguf" and body["stream"] is True
        assert [m["role"] for m in body["messages"]] == ["system", "user"]
        assert set(body) <= {
            "model",
            "messages",
            "max_tokens",
            "temperature",
            "top_p",
            "stream",
            "stream_options",
        }


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            JSONResponse({"error": {"code": 400, "message": "exceeds the context size"}}, 400),
            "exceeds the context",
        ),
        (events(piece(content="It "), done=False), "try again"),
        (JSONResponse({"error": {"message": "Loading model"}}, 503), "Loading model"),
    ],
    ids=["refused", "broken off", "not ready"],
)
async def test_what_the_server_refuses_is_one_sentence(
    answer: Any, sentence: str, codeface_home: Path, tmp_path: Path
) -> None:
    async with serve(llama_server(answer).app) as url, language_server(codeface_home) as client:
        options = {"endpoints": [{"name": "llama", "url": url}], "context": {"index": False}}
        await client.initialize(tmp_path, options=options)
        with pytest.raises(ServerError, match=sentence) as error:
            await client.request("codeface/chat", {"message": "why?"})
        assert error.value.code == -32803 and "\n" not in error.value.message
