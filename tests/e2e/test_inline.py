"""Ghost text, next edits, the popup menu and statistics through the real server over stdio, to the letter of LSP.

The model server is one in the test's own process that streams what the test wrote down, so that every path is exact;
the bundled model is driven in `test_main_job.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.lsp_client import CAPABILITIES, SERVER, LspClient, ServerError, language_server
from tests.model_server import ModelServer, model_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

INLINE = "textDocument/inlineCompletion"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model() -> AsyncIterator[ModelServer]:
    async with model_server() as served:
        yield served


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def fresh(model: ModelServer) -> None:
    model.reset()


def endpoint(model: ModelServer) -> dict[str, Any]:
    url = f"http://127.0.0.1:{model.port}"
    return {
        "endpoints": [
            {"name": "test", "url": url, "dialect": "llama-server", "roles": ["completion", "chat"]}
        ],
        "context": {"index": False},
        "completion": {"prefetch": False},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("codeface")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(model: ModelServer, home: Path) -> AsyncIterator[LspClient]:
    async with language_server(home, command=SERVER) as client:
        await client.initialize(options=endpoint(model))
        yield client


_numbers = itertools.count()


def document(client: LspClient, text: str, language: str = "python") -> str:
    uri = f"file:///project/file{next(_numbers)}.py"
    client.open(uri, text, language)
    return uri


def params(uri: str, line: int, character: int, kind: int = 2, **context: Any) -> dict[str, Any]:
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": kind, **context},
    }


TEXT = "def area(width, height):\n    \n"


async def test_an_item_has_text_a_one_line_range_and_a_command(client: LspClient) -> None:
    uri = document(client, TEXT)
    [item] = (await client.request(INLINE, params(uri, 1, 4)))["items"]
    assert item["insertText"] == "return width * height"
    assert item["range"] == {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 4}}
    assert item["command"]["command"] == "codeface.accepted"


async def test_typing_along_asks_no_model(client: LspClient, model: ModelServer) -> None:
    uri = document(client, TEXT)
    await client.request(INLINE, params(uri, 1, 4))
    for number, key in enumerate("return"):
        client.change(uri, number + 2, (1, 4 + number), (1, 4 + number), key)
        [item] = (await client.request(INLINE, params(uri, 1, 5 + number)))["items"]
        assert item["insertText"] == "return width * height"[number + 1 :]
    assert len(model.bodies) == 1


async def test_nothing_is_an_empty_list_and_superseded_is_null(client: LspClient, model: ModelServer) -> None:
    uri = document(client, TEXT)
    assert (await client.request(INLINE, params(uri, 0, 1)))["items"] == []
    model.pause_s = 0.2
    _, older = client.start(INLINE, params(uri, 1, 4))
    _, newer = client.start(INLINE, params(uri, 1, 4))
    assert await asyncio.wait_for(older, 20) is None
    assert (await asyncio.wait_for(newer, 20))["items"]
    assert len(model.bodies) == 1


async def test_a_cancelled_request_is_answered_at_once_and_the_model_stops(
    client: LspClient, model: ModelServer
) -> None:
    uri = document(client, TEXT)
    model.pause_s = 0.5
    request_id, future = client.start(INLINE, params(uri, 1, 4))
    async with asyncio.timeout(20):
        while not model.running:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    client.cancel(request_id)
    with pytest.raises(ServerError) as error:
        await asyncio.wait_for(future, 20)
    assert error.value.code == -32800
    async with asyncio.timeout(20):
        while model.running:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_invoked_gives_alternatives_automatic_one(client: LspClient, model: ModelServer) -> None:
    uri = document(client, TEXT)
    assert len((await client.request(INLINE, params(uri, 1, 4)))["items"]) == 1
    model.answer = "return height"
    items = (await client.request(INLINE, params(uri, 1, 4, kind=1)))["items"]
    assert [item["insertText"] for item in items] == ["return width * height", "return height"]


async def test_the_selected_item_keeps_its_range_and_is_extended(
    client: LspClient, model: ModelServer
) -> None:
    model.answer = "(width)"
    uri = document(client, "def area(width):\n    pri\n")
    span = {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 7}}
    selected = {"range": span, "text": "print"}
    [item] = (await client.request(INLINE, params(uri, 1, 7, selectedCompletionInfo=selected)))["items"]
    assert item["insertText"] == "print(width)"
    assert item["range"] == span


async def test_the_model_sees_what_the_selected_item_is(model: ModelServer, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "shapes.py").write_text("def print_area(width: int, unit: str) -> None:\n    pass\n")
    model.answer = "(2, 'cm')"
    async with language_server(tmp_path / "home", command=SERVER) as client:
        await client.initialize(root, options=endpoint(model) | {"context": {"index": True}})
        span = {"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 7}}
        selected = {"range": span, "text": "print_area"}
        shown: list[dict[str, str]] = []
        async with asyncio.timeout(60):
            for number in itertools.count():  # a document of its own each time, until the index is there
                uri = (root / f"main{number}.py").as_uri()
                client.open(uri, "def area(width):\n    pri\n")
                asked = params(uri, 1, 7, selectedCompletionInfo=selected)
                [item] = (await client.request(INLINE, asked))["items"]
                assert item["insertText"] == "print_area(2, 'cm')"
                shown = [
                    chunk for chunk in model.bodies[-1]["input_extra"] if chunk["filename"] == "shapes.py"
                ]
                if shown:
                    break
                await asyncio.sleep(0.05)
        assert "print_area(width: int, unit: str)" in shown[0]["text"]


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 11), ("utf-16", 9), ("utf-32", 8)])
async def test_positions_in_all_three_encodings(
    model: ModelServer, tmp_path: Path, encoding: str, character: int
) -> None:
    model.answer = "size"
    async with language_server(tmp_path, command=SERVER) as client:
        general = {"positionEncodings": [encoding]}
        answer = await client.initialize(options=endpoint(model), general=general)
        assert answer["capabilities"]["positionEncoding"] == encoding
        uri = document(client, "'\N{PILE OF POO}' ; x = ")
        [item] = (await client.request(INLINE, params(uri, 0, character + 2)))["items"]
        assert item["range"]["start"] == {"line": 0, "character": character + 2}


async def test_the_popup_menu_for_clients_without_ghost_text(model: ModelServer, tmp_path: Path) -> None:
    without = {k: v for k, v in CAPABILITIES["textDocument"].items() if k != "inlineCompletion"}
    async with language_server(tmp_path, command=SERVER) as client:
        await client.initialize(options=endpoint(model), textDocument=without)
        uri = document(client, "def area(width, height):\n    ret\n")
        model.answer = "urn width * height"
        where = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 7}}
        answer = await client.request("textDocument/completion", where)
        assert answer["isIncomplete"] is True
        [item] = answer["items"]
        assert item["label"] == item["textEdit"]["newText"] == "return width * height"
        assert item["textEdit"]["range"]["start"]["character"] == 4
        assert item["sortText"] > "zzzz"


async def test_the_popup_menu_is_left_alone_where_ghost_text_is_shown(client: LspClient) -> None:
    uri = document(client, TEXT)
    where = {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 4}}
    assert (await client.request("textDocument/completion", where))["items"] == []


async def test_a_rename_is_finished_through_copilots_method(client: LspClient) -> None:
    uri = document(client, "def f(size):\n    return size\n")
    client.change(uri, 2, (0, 6), (0, 10), "width")
    where = {"textDocument": {"uri": uri, "version": 2}, "position": {"line": 0, "character": 11}}
    [edit] = (await client.request("textDocument/copilotInlineEdit", where))["edits"]
    assert edit["text"] == "width"
    assert edit["range"] == {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 15}}
    assert edit["textDocument"] == {"uri": uri, "version": 2}
    client.notify("textDocument/didShowInlineEdit", {"item": edit})
    old = {**where, "textDocument": {"uri": uri, "version": 1}}
    assert (await client.request("textDocument/copilotInlineEdit", old))["edits"] == []


async def test_pausing_a_file(client: LspClient, model: ModelServer) -> None:
    uri = document(client, TEXT)
    await client.request(
        "workspace/executeCommand", {"command": "codeface.pause", "arguments": [{"uri": uri}]}
    )
    assert (await client.request(INLINE, params(uri, 1, 4)))["items"] == []
    assert model.bodies == []
    assert client.notifications["codeface/didChangeStatus"][-1]["state"] == "paused"
    await client.request(
        "workspace/executeCommand", {"command": "codeface.resume", "arguments": [{"uri": uri}]}
    )
    assert (await client.request(INLINE, params(uri, 1, 4)))["items"]


async def test_bad_requests_each_get_one_answer(client: LspClient) -> None:
    with pytest.raises(ServerError, match="not open"):
        await client.request(INLINE, params("file:///never/opened.py", 0, 0))
    uri = document(client, TEXT)
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    with pytest.raises(ServerError, match="not open"):
        await client.request(INLINE, params(uri, 1, 4))
    uri = document(client, TEXT)
    assert "items" in await client.request(INLINE, params(uri, 999, 999))
    with pytest.raises(ServerError):
        await client.request(INLINE, {"textDocument": {"uri": uri}})


async def test_statistics_count_what_clients_tell_and_what_they_do_not(
    home: Path, model: ModelServer
) -> None:
    async with language_server(home, command=SERVER) as client:
        await client.initialize(options=endpoint(model))
        uri = document(client, TEXT)
        [item] = (await client.request(INLINE, params(uri, 1, 4)))["items"]
        client.notify("textDocument/didShowCompletion", {"item": item})
        client.notify("textDocument/didPartiallyAcceptCompletion", {"item": item, "acceptedLength": 6})
        client.change(uri, 2, (1, 4), (1, 4), "return")
        other = document(client, TEXT)
        [item] = (await client.request(INLINE, params(other, 1, 4)))["items"]
        client.change(other, 2, (1, 4), (1, 4), item["insertText"])
        run = {"command": "codeface.accepted", "arguments": item["command"]["arguments"]}
        await client.request("workspace/executeCommand", run)
        await client.shutdown()
    with sqlite3.connect(home / "stats.sqlite3") as connection:
        query = "SELECT outcome, accepted_chars FROM suggestions WHERE outcome IN ('partial', 'accepted')"
        assert sorted(connection.execute(query)) == [("accepted", 21), ("partial", 6)]


class Reference:
    """The document as it ought to be, and its positions in UTF-16."""

    def __init__(self, text: str) -> None:
        self.text = text

    def position(self, offset: int) -> tuple[int, int]:
        line = self.text.count("\n", 0, offset)
        start = self.text.rfind("\n", 0, offset) + 1
        return line, len(self.text[start:offset].encode("utf-16-le")) // 2

    def edit(self, start: int, end: int, new: str) -> tuple[tuple[int, int], tuple[int, int]]:
        span = self.position(start), self.position(end)
        self.text = self.text[:start] + new + self.text[end:]
        return span


async def random_edits(client: LspClient, model: ModelServer, steps: int, seed: int) -> dict[str, int]:
    """Random edits, requests and cancellations; every id gets one answer, the text is what it ought to be."""
    rng = random.Random(seed)
    reference = Reference("def f(a):\n    \n")
    uri = document(client, reference.text)
    futures: list[asyncio.Future[Any]] = []
    version = 1
    for step in range(steps):
        if rng.random() < 0.6:
            start = rng.randint(0, len(reference.text))
            end = min(len(reference.text), start + rng.choice([0, 0, 0, 1, 5]))
            new = rng.choice(
                ["a", "(", "\n", "x = ", "\N{PILE OF POO}", "\x0c", "\u2028", "return width", ""]
            )
            if len(reference.text) > 3000:
                start, end, new = 0, len(reference.text), "def f(a):\n    \n"
            version += 1
            client.change(uri, version, *reference.edit(start, end, new), new)
        else:
            line, character = reference.position(rng.randint(0, len(reference.text)))
            request_id, future = client.start(
                INLINE, params(uri, line, character, kind=rng.choice([1, 2, 2, 2]))
            )
            futures.append(future)
            if rng.random() < 0.2:
                client.cancel(request_id)
        if step % 50 == 0:
            await asyncio.wait_for(asyncio.gather(*futures[-5:], return_exceptions=True), 60)
            parts = await client.request(
                "codeface/context",
                {"textDocument": {"uri": uri}, "position": {"line": 10**6, "character": 0}},
            )
            last = reference.text[reference.text.rfind("\n") + 1 :]
            assert parts["prefix"].endswith(last)
    answers = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 120)
    counts = {"items": 0, "null": 0, "cancelled": 0}
    for answer in answers:
        if isinstance(answer, ServerError):
            assert answer.code == -32800, answer
            counts["cancelled"] += 1
        elif isinstance(answer, BaseException):
            raise answer
        else:
            counts["null" if answer is None else "items"] += 1
    assert sum(counts.values()) == len(futures)
    assert not client.stray
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    return counts


async def test_random_edits_and_requests(client: LspClient, model: ModelServer) -> None:
    process = psutil.Process(client.process.pid)
    await random_edits(client, model, 300, seed=1)
    before = process.memory_info().rss
    counts = await random_edits(client, model, 1500, seed=2)
    assert all(counts.values()), counts
    assert process.memory_info().rss < before + 30_000_000
    with suppress(IndexError):
        assert model.bodies[-1]["input_prefix"] is not None


async def test_the_server_is_idle_within_a_second_after_the_last_key(client: LspClient) -> None:
    uri = document(client, TEXT)
    for number, key in enumerate("return wi"):
        client.change(uri, number + 2, (1, 4 + number), (1, 4 + number), key)
        await client.request(INLINE, params(uri, 1, 5 + number))
    process = psutil.Process(client.process.pid)

    def busy() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    await asyncio.sleep(1)
    before = busy()
    await asyncio.sleep(1)
    assert busy() - before < 0.1
