"""Ghost text while the engine starts, loads, is slow, full or dead: one answer for each request, nothing stale."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.lsp_client import SERVER, LspClient, ServerError, language_server
from tests.model_server import ModelServer, model_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URI = "file:///project/main.py"
TEXT = "def area(width, height):\n    \n"
BUDGET_MS = 300
COLD_BUDGET_MS = 1500
"""Shorter than an engine's start, long enough for a first answer where two cores are busy."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as served:
        yield served


def options(model: ModelServer, **completion: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{model.port}"
    endpoint = {"name": "test", "url": url, "dialect": "codeface", "roles": ["completion", "chat"]}
    completion = {"prefetch": False, "time_budget_ms": BUDGET_MS, **completion}
    return {"endpoints": [endpoint], "context": {"index": False}, "completion": completion}


@pytest_asyncio.fixture(loop_scope="module")
async def client(model: ModelServer, tmp_path: Path) -> AsyncIterator[LspClient]:
    model.reset()
    async with language_server(tmp_path, command=SERVER) as client:
        await client.initialize(options=options(model))
        client.open(URI, TEXT)
        yield client


def ask(client: LspClient, line: int, character: int) -> tuple[Any, asyncio.Future[Any]]:
    where = {"textDocument": {"uri": URI}, "position": {"line": line, "character": character}}
    return client.start("textDocument/inlineCompletion", where | {"context": {"triggerKind": 2}})


async def answer(future: asyncio.Future[Any]) -> list[str] | None:
    result = await asyncio.wait_for(future, 100)
    return None if result is None else [item["insertText"] for item in result["items"]]


async def type_keys(client: LspClient, keys: str) -> list[asyncio.Future[Any]]:
    """Type into the empty line, with a request after each key."""
    futures = []
    for number, key in enumerate(keys):
        client.change(URI, number + 2, (1, 4 + number), (1, 4 + number), key)
        futures.append(ask(client, 1, 5 + number)[1])
    return futures


async def test_in_a_cold_house_one_request_gets_its_suggestion(tmp_path: Path) -> None:
    environ = {"CODEFACE_COMPLETION__MIN_CONFIDENCE": "-100", "CODEFACE_ENGINE__THREADS": "1"}
    async with language_server(tmp_path, environ=environ, command=SERVER) as client:
        await client.initialize(options={"completion": {"time_budget_ms": COLD_BUDGET_MS}})
        client.open(URI, "def area(width, height):\n    return ")
        [text] = await answer(ask(client, 1, 11)[1]) or []
        assert text.strip()
        states = [status["state"] for status in client.notifications["codeface/didChangeStatus"]]
        assert states[0] == "starting"
        shown = [told["value"]["kind"] for told in client.notifications["$/progress"]]
        assert "begin" in shown, "the wait was shown"


async def test_the_time_budget_does_not_count_the_load(client: LspClient, model: ModelServer) -> None:
    model.loaded.clear()
    _, future = ask(client, 1, 4)
    await model.until_asked()
    done, _ = await asyncio.wait({future}, timeout=3 * BUDGET_MS / 1000)
    assert not done
    model.loaded.set()
    assert await answer(future) == ["return width * height"]


async def test_typing_during_the_load_gets_one_answer_each_and_a_suggestion_at_the_end(
    client: LspClient, model: ModelServer
) -> None:
    model.loaded.clear()
    model.answer = " width * height"
    *older, last = await type_keys(client, "return")
    assert [await answer(future) for future in older] == [None] * 5, "superseded at once"
    await model.until_asked()
    assert not last.done()
    model.loaded.set()
    assert await answer(last) == [" width * height"], "asked for what stands there now"


async def test_a_request_that_waits_for_the_load_is_cancelled_at_once(
    client: LspClient, model: ModelServer
) -> None:
    model.loaded.clear()
    request_id, future = ask(client, 1, 4)
    await model.until_asked()
    client.cancel(request_id)
    with pytest.raises(ServerError) as error:
        await answer(future)
    assert error.value.code == -32800


async def test_too_slow_for_the_time_budget_is_answered_with_nothing(
    client: LspClient, model: ModelServer
) -> None:
    model.pause_s = 20.0
    assert await answer(ask(client, 1, 4)[1]) == []


async def test_a_full_engine_is_told_once_and_then_left_in_peace(
    client: LspClient, model: ModelServer
) -> None:
    model.status = 503
    with pytest.raises(ServerError, match="busy"):
        await answer(ask(client, 1, 4)[1])
    assert [await answer(ask(client, 1, 4)[1]) for _ in range(3)] == [[], [], []]
    model.status = 200
    assert await answer(ask(client, 1, 4)[1]) == ["return width * height"]


async def test_an_engine_that_breaks_off_is_told_and_asked_again(
    client: LspClient, model: ModelServer
) -> None:
    model.breaks = True
    with pytest.raises(ServerError, match="try again"):
        await answer(ask(client, 1, 4)[1])
    model.breaks = False
    assert await answer(ask(client, 1, 4)[1]) == ["return width * height"]


async def test_nobody_listening_is_told_once(tmp_path: Path, model: ModelServer) -> None:
    nowhere = options(model)
    nowhere["endpoints"][0]["url"] = "http://127.0.0.1:9"
    async with language_server(tmp_path, command=SERVER) as client:
        await client.initialize(options=nowhere)
        client.open(URI, TEXT)
        with pytest.raises(ServerError, match="Nothing answers"):
            await answer(ask(client, 1, 4)[1])
        assert await answer(ask(client, 1, 4)[1]) == []


async def test_what_takes_long_is_shown_in_the_status(client: LspClient, model: ModelServer) -> None:
    states = client.notifications["codeface/didChangeStatus"]
    await client.until(lambda: states and states[-1]["state"] == "ready")
    model.loaded.clear()
    _, future = ask(client, 1, 4)
    generating = {"kind": "Normal", "state": "generating", "busy": True}
    await client.until(lambda: states[-1] == generating)
    model.loaded.set()
    assert await answer(future)
    await client.until(lambda: states[-1] == {"kind": "Normal", "state": "ready", "busy": False})
