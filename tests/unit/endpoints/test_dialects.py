"""What each kind of server is sent, and how its answers are read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from starlette.responses import JSONResponse

from codeface_lsp.context.parts import ExtraContext, Parts, Source
from codeface_lsp.endpoints.remote import RemoteServer
from codeface_lsp.endpoints.types import ChatRequest, Chunk, DocumentText, InfillRequest, Message
from codeface_lsp.errors import EndpointBusy, EndpointRejected, EndpointUnreachable, SettingsError
from codeface_lsp.settings import EndpointSettings
from tests.http_servers import FakeServer, events, lines, serve

REQUEST = InfillRequest(
    Parts(
        path="shop/cart.py",
        language="python",
        prefix="def total(",
        line_suffix="):",
        suffix="    return 1\n",
        extra=(ExtraContext("shop/item.py", "class Item: ...\n", Source.DEFINITION, 5),),
    ),
    max_tokens=24,
    stop=("\n\n",),
)
CHAT = ChatRequest([Message("system", "Be brief."), Message("user", "What is this?")], max_tokens=50, seed=7)
MODELS = {"data": [{"id": "Qwen2.5-Coder-1.5B", "max_model_len": 8192}]}


@asynccontextmanager
async def remote(routes: dict[str, Any], **settings: Any) -> AsyncGenerator[tuple[RemoteServer, FakeServer]]:
    fake = FakeServer(routes)
    async with serve(fake.app) as url:
        server = RemoteServer(EndpointSettings(name="test", url=url, **settings))
        try:
            yield server, fake
        finally:
            await server.aclose()


async def collect(chunks: AsyncGenerator[Chunk]) -> tuple[str, Chunk]:
    received = [chunk async for chunk in chunks]
    assert received[-1].finish_reason is not None
    assert all(chunk.finish_reason is None for chunk in received[:-1])
    return "".join(chunk.text for chunk in received), received[-1]


def text_event(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish, **more}], "model": "m"}


class TestLlamaServer:
    async def test_infill_is_sent_and_read_as_it_documents(self) -> None:
        answer = (
            {"content": "items", "tokens": [1, 2], "stop": False},
            {
                "content": "",
                "stop": True,
                "stop_type": "word",
                "tokens_predicted": 2,
                "tokens_evaluated": 100,
                "tokens_cached": 101,
                "truncated": True,
                "timings": {"prompt_n": 10, "prompt_ms": 5.0, "predicted_ms": 3.5},
            },
        )
        routes = {"/infill": lambda body: events(*answer, done=False)}
        async with remote(routes, dialect="llama-server") as (server, fake):
            text, last = await collect(server.infill(REQUEST))
        assert text == "items"
        assert last.finish_reason == "stop"
        assert (last.timings.prompt_tokens, last.timings.cached_tokens) == (100, 90)
        assert (last.timings.completion_tokens, last.timings.truncated) == (2, True)
        body = fake.bodies("/infill")[0]
        assert (body["input_prefix"], body["input_suffix"], body["prompt"]) == (
            "def total(",
            "    return 1\n",
            "",
        )
        assert body["input_extra"] == [{"filename": "shop/item.py", "text": "class Item: ...\n"}]
        assert (body["n_predict"], body["stop"], body["stream"]) == (24, ["\n\n"], True)
        assert not {"document", "heal", "filename"} & set(body)

    async def test_a_model_without_fim_tokens_is_asked_for_a_continuation(self) -> None:
        routes = {
            "/infill": JSONResponse({"error": {"code": 501, "message": "no FIM"}}, 501),
            "/v1/models": {"data": [{"id": "some-chat-model"}]},
            "/v1/completions": lambda body: events(text_event("x", "stop")),
        }
        async with remote(routes, dialect="llama-server") as (server, fake):
            assert (await collect(server.infill(REQUEST)))[0] == "x"
            assert (await collect(server.infill(REQUEST)))[0] == "x"
        assert len(fake.bodies("/infill")) == 1
        assert fake.bodies("/v1/completions")[0]["prompt"].endswith("def total(")

    async def test_a_stream_that_ends_too_early_is_an_error(self) -> None:
        routes = {"/infill": lambda body: events({"content": "a", "stop": False}, done=False)}
        async with remote(routes, dialect="llama-server") as (server, _):
            with pytest.raises(EndpointUnreachable, match="ended its answer without saying why"):
                await collect(server.infill(REQUEST))


class TestOpenAi:
    async def test_the_prompt_is_rendered_in_the_family_s_form(self) -> None:
        usage = {"prompt_tokens": 60, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 32}}
        answer = (
            text_event("items", logprobs={"token_logprobs": [-0.25]}),
            text_event("", "length"),
            {"choices": [], "usage": usage},
        )
        routes = {"/v1/models": MODELS, "/v1/completions": lambda body: events(*answer)}
        async with remote(routes, dialect="openai") as (server, fake):
            chunks = [chunk async for chunk in server.infill(REQUEST)]
        assert [c.text for c in chunks] == ["items", ""]
        assert chunks[0].logprob == -0.25
        assert chunks[-1].finish_reason == "length"
        assert (chunks[-1].timings.prompt_tokens, chunks[-1].timings.cached_tokens) == (60, 32)
        body = fake.bodies("/v1/completions")[0]
        assert body["model"] == "Qwen2.5-Coder-1.5B"
        assert body["prompt"].endswith("<|fim_prefix|>def total(<|fim_suffix|>    return 1\n<|fim_middle|>")
        assert "shop/item.py" in body["prompt"]
        assert len(body["stop"]) <= 4
        assert body["stop"][0] == "\n\n"
        assert "suffix" not in body

    async def test_the_family_can_be_set_and_a_wrong_one_is_named(self) -> None:
        routes = {"/v1/models": MODELS, "/v1/completions": lambda body: events(text_event("a", "stop"))}
        async with remote(routes, dialect="openai", fim="starcoder2", model="mine") as (server, fake):
            await collect(server.infill(REQUEST))
        assert "<fim_middle>" in fake.bodies("/v1/completions")[0]["prompt"]
        async with remote(routes, dialect="openai", fim="nonsense") as (server, _):
            with pytest.raises(EndpointRejected, match="no family `nonsense`"):
                await collect(server.infill(REQUEST))

    async def test_a_server_without_logprobs_is_asked_once(self) -> None:
        def answer(body: dict[str, Any]) -> Any:
            if "logprobs" in body:
                return JSONResponse({"error": {"message": "logprobs is not supported"}}, 400)
            return events(text_event("ok", "stop"))

        routes = {"/v1/models": MODELS, "/v1/completions": answer}
        async with remote(routes, dialect="openai") as (server, fake):
            for _ in range(2):
                assert (await collect(server.infill(REQUEST)))[0] == "ok"
        assert ["logprobs" in body for body in fake.bodies("/v1/completions")] == [True, False, False]

    async def test_special_tokens_that_come_as_text_end_the_answer(self) -> None:
        answer = (text_event("items<|end"), text_event("oftext|>garbage"), text_event("", "length"))
        routes = {"/v1/models": MODELS, "/v1/completions": lambda body: events(*answer)}
        async with remote(routes, dialect="openai") as (server, _):
            text, last = await collect(server.infill(REQUEST))
        assert (text, last.finish_reason) == ("items", "stop")

    async def test_chat_reads_usage_that_comes_after_the_finish_reason(self) -> None:
        answer = (
            {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
            {"choices": [{"delta": {"content": "A cart."}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}},
        )
        routes = {"/v1/models": MODELS, "/v1/chat/completions": lambda body: events(*answer)}
        async with remote(routes, dialect="openai", api_key="secret") as (server, fake):
            text, last = await collect(server.chat(CHAT))
        assert (text, last.timings.prompt_tokens) == ("A cart.", 12)
        body = fake.bodies("/v1/chat/completions")[0]
        assert body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert (body["seed"], body["stream_options"]) == (7, {"include_usage": True})
        assert fake.headers[-1]["authorization"] == "Bearer secret"

    async def test_embeddings_come_in_the_order_of_the_texts(self) -> None:
        rows = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
        async with remote({"/v1/models": MODELS, "/v1/embeddings": {"data": rows}}, dialect="openai") as (
            s,
            _,
        ):
            assert await s.embed(["a", "b"]) == [[1.0], [2.0]]

    async def test_a_prompt_that_was_cut_silently_is_said_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = (
            text_event("a", "stop"),
            {"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 1}},
        )
        routes = {"/v1/models": MODELS, "/v1/completions": lambda body: events(*answer)}
        long = replace(REQUEST, parts=replace(REQUEST.parts, prefix="one two three\n" * 100))
        async with remote(routes, dialect="openai") as (server, _):
            with caplog.at_level(logging.WARNING):
                for _ in range(2):
                    assert (await collect(server.infill(long)))[1].timings.truncated
        assert [record.message for record in caplog.records if "evaluated only 50" in record.message][
            1:
        ] == []
        assert "three" not in caplog.text


class TestOllama:
    TAGS: ClassVar[dict[str, Any]] = {
        "models": [{"name": "qwen2.5-coder:1.5b"}, {"name": "nomic-embed-text"}]
    }

    async def test_a_known_family_is_rendered_here_and_sent_raw_with_its_context_length(self) -> None:
        answer = (
            {"model": "m", "response": "items", "done": False},
            {
                "model": "m",
                "response": "",
                "done": True,
                "done_reason": "length",
                "prompt_eval_count": 44,
                "eval_count": 3,
                "eval_duration": 2_000_000,
            },
        )
        routes = {"/api/tags": self.TAGS, "/api/generate": lambda body: lines(*answer)}
        async with remote(routes, dialect="ollama", context_tokens=8192) as (server, fake):
            text, last = await collect(server.infill(REQUEST))
        assert (text, last.finish_reason) == ("items", "length")
        assert (last.timings.prompt_tokens, last.timings.predicted_ms) == (44, 2.0)
        body = fake.bodies("/api/generate")[0]
        assert body["raw"] is True
        assert "suffix" not in body
        assert body["prompt"].endswith("<|fim_middle|>")
        assert body["options"]["num_ctx"] == 8192
        assert body["options"]["num_predict"] == 24

    async def test_an_unknown_family_leaves_the_middle_to_the_model_s_template(self) -> None:
        answer = {"response": "x", "done": True, "done_reason": "stop"}
        routes = {
            "/api/tags": {"models": [{"name": "somebody/own"}]},
            "/api/generate": lambda b: lines(answer),
        }
        async with remote(routes, dialect="ollama") as (server, fake):
            await collect(server.infill(REQUEST))
            at_the_end = replace(REQUEST, parts=replace(REQUEST.parts, suffix="", line_suffix=""))
            await collect(server.infill(at_the_end))
            at_the_start = replace(REQUEST, parts=replace(REQUEST.parts, prefix="", extra=()))
            await collect(server.infill(at_the_start))
        first, end, start = fake.bodies("/api/generate")
        assert (first["prompt"], first["suffix"]) == ("def total(", "    return 1\n")
        assert "raw" not in first
        assert end["raw"] is True, "an empty suffix would be answered with the chat template"
        assert start["prompt"] != "", "an empty prompt would only load the model"

    async def test_chat_embeddings_and_models(self) -> None:
        answer = (
            {"message": {"content": "A "}, "done": False},
            {"message": {"content": "cart."}, "done": True, "done_reason": "stop", "prompt_eval_count": 20},
        )
        routes = {
            "/api/tags": self.TAGS,
            "/api/chat": lambda body: lines(*answer),
            "/api/embed": {"embeddings": [[1, 2], [3, 4]]},
        }
        async with remote(routes, dialect="ollama") as (server, fake):
            text, last = await collect(server.chat(CHAT))
            assert (text, last.timings.prompt_tokens) == ("A cart.", 20)
            assert await server.embed(["a", "b"]) == [[1.0, 2.0], [3.0, 4.0]]
            assert [card.id for card in await server.models()] == ["qwen2.5-coder:1.5b", "nomic-embed-text"]
            assert await server.count_tokens("some words here") > 0
        assert fake.bodies("/api/chat")[0]["options"]["seed"] == 7

    async def test_an_error_in_the_stream_is_an_error(self) -> None:
        routes = {
            "/api/tags": self.TAGS,
            "/api/generate": lambda b: lines({"error": "model runner has stopped"}),
        }
        async with remote(routes, dialect="ollama") as (server, _):
            with pytest.raises(EndpointRejected, match="model runner has stopped"):
                await collect(server.infill(REQUEST))


class TestCodeface:
    async def test_our_engine_gets_our_fields_and_the_document_only_once(self) -> None:
        answer = {
            "content": "",
            "stop": True,
            "stop_type": "eos",
            "tokens_cached": 90,
            "tokens_evaluated": 100,
        }
        routes = {"/infill": lambda body: events(answer, done=False)}
        with_document = replace(REQUEST, document=DocumentText("file:///a.py", 1, "text\n" * 100))
        later = replace(REQUEST, document=DocumentText("file:///a.py", 2, "text\n" * 100 + "x"))
        async with remote(routes, dialect="codeface", model="tiny") as (server, fake):
            _, last = await collect(server.infill(with_document))
            await collect(server.infill(later))
        assert last.timings.cached_tokens == 90
        first, second = fake.bodies("/infill")
        assert (first["filename"], first["heal"], first["priority"]) == ("shop/cart.py", True, "inline")
        assert first["client"] == second["client"]
        assert first["document"]["text"] == "text\n" * 100
        edit = {"id": "file:///a.py", "version": 2, "base": 1, "start": 500, "end": 500, "text": "x"}
        assert second["document"] == edit

    async def test_a_document_that_the_engine_lost_is_sent_whole_again(self) -> None:
        answer = {"content": "", "stop": True, "document": "file:///a.py", "document_known": False}
        routes = {"/infill": lambda body: events(answer, done=False)}
        async with remote(routes, dialect="codeface") as (server, fake):
            for version in (1, 2):
                document = DocumentText("file:///a.py", version, f"version {version}")
                await collect(server.infill(replace(REQUEST, document=document)))
        assert fake.bodies("/infill")[1]["document"]["text"] == "version 2"


class TestDetection:
    @pytest.mark.parametrize(
        ("routes", "dialect"),
        [
            ({"/health": {"status": "ok", "protocol": 1, "windows": 0}}, "CodefaceServer"),
            ({"/health": {"status": "ok"}, "/props": {"default_generation_settings": {}}}, "LlamaServer"),
            ({"/api/version": {"version": "0.9.1"}}, "OllamaServer"),
            ({"/v1/models": MODELS, "/health": {"status": "ok"}}, "CompletionsServer"),
            ({"/v1/models": MODELS, "/version": {"version": "0.1"}}, "CompletionsServer"),
        ],
    )
    async def test_a_server_is_asked_what_it_is(self, routes: dict[str, Any], dialect: str) -> None:
        async with remote(routes) as (server, _):
            assert type(await server.dialect()).__name__ == dialect

    async def test_nobody_there_is_said_with_the_address(self) -> None:
        server = RemoteServer(EndpointSettings(name="mine", url="http://127.0.0.1:9"))
        with pytest.raises(EndpointUnreachable, match=r"Nothing answers at http://127\.0\.0\.1:9 \(mine\)"):
            await server.models()
        await server.aclose()


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "error", "words"),
        [
            (401, {"error": {"message": "bad key"}}, EndpointRejected, "set the endpoint's `api_key`"),
            (404, {"detail": "no such model"}, EndpointRejected, "no such model"),
            (429, {"error": "slow down"}, EndpointBusy, "is busy: slow down"),
            (503, {"error": {"code": 503, "message": "Loading model"}}, EndpointBusy, "Loading model"),
            (500, {}, EndpointRejected, "HTTP 500"),
        ],
    )
    async def test_http_errors_become_sentences(
        self, status: int, body: dict[str, Any], error: type[EndpointRejected], words: str
    ) -> None:
        routes = {"/v1/chat/completions": JSONResponse(body, status)}
        async with remote(routes, dialect="openai", model="m") as (server, _):
            with pytest.raises(error, match=words) as caught:
                await collect(server.chat(CHAT))
        assert caught.value.status == status

    async def test_silence_is_named(self) -> None:
        fake = FakeServer({})

        async def hang(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await asyncio.sleep(1.0)
            await fake.app(scope, receive, send)

        async with serve(hang) as url:
            settings = EndpointSettings(name="slow", url=url, dialect="openai", model="m", timeout_s=0.1)
            server = RemoteServer(settings)
            with pytest.raises(EndpointUnreachable, match="was silent for too long"):
                await collect(server.chat(CHAT))
            await server.aclose()

    def test_a_key_that_is_not_set_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MY_KEY", raising=False)
        with pytest.raises(SettingsError, match="MY_KEY"):
            RemoteServer(EndpointSettings(name="x", url="http://h", api_key_env="MY_KEY"))
        monkeypatch.setenv("MY_KEY", "k")
        RemoteServer(EndpointSettings(name="x", url="http://h", api_key_env="MY_KEY"))
