"""Server-sent events: the right status while there is one to send, an error event after that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from codeface_lsp.errors import CodeFaceError, QueueFull
from codeface_lsp.serving import streams
from codeface_lsp.serving.failures import answer_error
from codeface_lsp.serving.streams import stream
from codeface_lsp.serving.watcher import Watcher
from tests.http_servers import eventually, serve

closed: list[str] = []


async def two() -> AsyncGenerator[dict[str, Any]]:
    try:
        yield {"n": 1, "text": "naïve\n\n東京"}
        yield {"n": 2}
    finally:
        closed.append("two")


async def busy() -> AsyncGenerator[dict[str, Any]]:
    raise QueueFull("The queue is full; try again in a moment.")
    yield {}


async def breaks() -> AsyncGenerator[dict[str, Any]]:
    yield {"n": 1}
    raise ValueError("secret detail")


async def empty() -> AsyncGenerator[dict[str, Any]]:
    return
    yield {}


async def slow() -> AsyncGenerator[dict[str, Any]]:
    import asyncio

    await asyncio.sleep(0.3)
    yield {"n": 1}


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    def route(make: Any) -> Route:
        async def handler(request: Request) -> Response:
            return await stream(make(), done="done" in request.query_params)

        return Route(f"/{make.__name__}", handler)

    app = Starlette(
        routes=[route(make) for make in (two, busy, breaks, empty, slow)],
        exception_handlers={CodeFaceError: answer_error},
    )
    closed.clear()
    async with serve(Watcher(app)) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


async def test_events_arrive_one_json_object_each(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/two")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == 'data: {"n":1,"text":"naïve\\n\\n東京"}\n\ndata: {"n":2}\n\n'
    assert closed == ["two"]


async def test_openai_routes_end_with_done(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/two?done")).text.endswith('data: {"n":2}\n\ndata: [DONE]\n\n')


async def test_an_error_before_the_first_event_has_its_status(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/busy")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "busy"


async def test_an_error_in_the_middle_is_the_last_event_and_tells_nothing_private(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.get("/breaks?done")
    assert '"n":1' in answer.text
    assert '"code":"internal_error"' in answer.text
    assert "secret" not in answer.text


async def test_a_stream_of_nothing_is_an_empty_answer(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/empty")).text == ""


async def test_a_slow_start_opens_the_stream_and_keeps_it_alive(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PATIENCE_S", 0.01)
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.05)
    answer = await client.get("/slow")
    assert answer.text.startswith(": waiting\n\n")
    assert answer.text.endswith('data: {"n":1}\n\n')


async def test_a_client_that_leaves_closes_the_generator(client: httpx2.AsyncClient) -> None:
    async with client.stream("GET", "/two") as response:
        await anext(response.aiter_raw())
    await eventually(lambda: closed == ["two"])
