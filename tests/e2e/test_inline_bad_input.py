"""Clients that type faster than anybody, lose their count, or share an engine: one answer each, no growth."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.lsp_client import SERVER, LspClient, ServerError, language_server
from tests.model_server import ModelServer, model_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

INLINE = "textDocument/inlineCompletion"
URI = "file:///project/main.py"
TEXT = "def area(width, height):\n    \n"
STATEMENT = "return width * height"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def client(model: ModelServer, tmp_path: Path) -> AsyncIterator[LspClient]:
    model.reset()
    url = f"http://127.0.0.1:{model.port}"
    endpoint = {"name": "test", "url": url, "dialect": "codeface", "roles": ["completion", "chat"]}
    async with language_server(tmp_path, command=SERVER) as client:
        await client.initialize(options={"endpoints": [endpoint], "context": {"index": False}})
        client.open(URI, TEXT)
        yield client


def asking(line: int, character: int) -> dict[str, Any]:
    position = {"line": line, "character": character}
    return {"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 2}}


def replace(client: LspClient, version: int, text: str) -> None:
    document = {"uri": URI, "version": version}
    client.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})


async def texts(answer: asyncio.Future[Any]) -> list[str] | None:
    result = await asyncio.wait_for(answer, 60)
    return None if result is None else [item["insertText"] for item in result["items"]]


async def type_fast(client: LspClient, keys: int, rng: random.Random, version: int) -> dict[str, int]:
    """Keys without a pause; each cancels the request before and sends its own, as editors do."""
    answers: list[asyncio.Future[Any]] = []
    column, before = 4, None
    for number in range(keys):
        if column >= 60:
            client.change(URI, version + number, (1, 4), (1, column), "")
            column = 4
        else:
            client.change(URI, version + number, (1, column), (1, column), rng.choice("abr( ."))
            column += 1
        if before is not None:
            client.cancel(before)
        before, answer = client.start(INLINE, asking(1, column))
        answers.append(answer)
        if number % 25 == 0:
            await asyncio.sleep(0)
    counts = {"items": 0, "null": 0, "cancelled": 0}
    for result in await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 120):
        if isinstance(result, ServerError):
            assert result.code == -32800, result
            counts["cancelled"] += 1
        else:
            assert not isinstance(result, BaseException), result
            counts["null" if result is None else "items"] += 1
    assert sum(counts.values()) == keys
    return counts


async def test_fifteen_hundred_keys_without_a_pause(client: LspClient, model: ModelServer) -> None:
    model.pause_s = 0.01
    rng = random.Random(4)
    await type_fast(client, 300, rng, 2)
    process = psutil.Process(client.process.pid)
    before = process.memory_info().rss
    await type_fast(client, 1500, rng, 1000)
    assert not client.stray
    assert process.memory_info().rss < before + 30_000_000
    async with asyncio.timeout(30):
        while model.running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    model.pause_s = 0.0
    replace(client, 5000, TEXT)
    assert await texts(client.start(INLINE, asking(1, 4))[1]) == [STATEMENT], "and it is as good as new"


async def test_versions_out_of_order_are_taken_as_they_come(client: LspClient, model: ModelServer) -> None:
    assert await texts(client.start(INLINE, asking(1, 4))[1]) == [STATEMENT]
    for column, (version, key) in enumerate(zip((7, 3, 3, -1, 8), "retur", strict=True), start=4):
        client.change(URI, version, (1, column), (1, column), key)
        _, answer = client.start(INLINE, asking(1, column + 1))
        assert await texts(answer) == [STATEMENT[column - 3 :]]
    client.change(URI, 2, (1, 9), (1, 9), " none")
    model.answer = "_of_it"
    assert await texts(client.start(INLINE, asking(1, 14))[1]) == ["_of_it"]
    assert model.bodies[-1]["input_prefix"].endswith("    retur none")


async def test_a_document_replaced_under_a_generation(client: LspClient, model: ModelServer) -> None:
    model.pause_s = 0.5
    _, older = client.start(INLINE, asking(1, 4))
    await model.until_asked()
    replace(client, 2, "x = 1\n\n\ndef volume(a):\n    \n")
    assert await texts(older) is None
    model.pause_s, model.answer = 0.0, "return a ** 3"
    assert await texts(client.start(INLINE, asking(4, 4))[1]) == ["return a ** 3"]


async def test_two_windows_with_the_same_file_and_one_engine(tmp_path: Path) -> None:
    """Each has its own unsaved text, and gets suggestions for that."""
    environ = {"CODEFACE_ENGINE__MOCK": "true", "CODEFACE_CONTEXT__INDEX": "false"}
    async with (
        language_server(tmp_path, environ=environ, command=SERVER) as one,
        language_server(tmp_path, environ=environ, command=SERVER) as other,
    ):
        for window in (one, other):
            await window.initialize(options={"completion": {"prefetch": False}})
        one.open(URI, "value = ")
        other.open(URI, "def value():")
        column = {one: 8, other: 12}
        for version in range(2, 22):
            answers = {}
            for window in (one, other):
                window.change(URI, version, (0, 0), (0, 0), "_" if window is one else "#\n")
                column[one] += window is one
                line = 0 if window is one else version - 1
                answers[window] = window.start(INLINE, asking(line, column[window]))[1]
            assert await texts(answers[one]) == ["mock()  # mock"]
            assert await texts(answers[other]) == ["\n    return mock()  # mock"]
        assert len(list((tmp_path / "run").glob("engine-*.json"))) == 1
        assert not one.stray and not other.stray
