"""The main job: ghost text and explain from the model in the box, through the real server and the real engine."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio

from tests.http_servers import eventually
from tests.lsp_client import LspClient, language_server

ENVIRON = {
    "CODEFACE_CONTEXT__INDEX": "false",
    "CODEFACE_COMPLETION__MIN_CONFIDENCE": "-100",
    "CODEFACE_ENGINE__THREADS": "1",
    # A proxy that answers nothing: whoever goes through it fails.
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}
pytestmark = pytest.mark.asyncio(loop_scope="module")

_numbers = itertools.count()
TEXT = '''class Stack:
    """A stack of items."""

    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        return self.items.pop()

    def size(self):
        return len(self.items)

    def first(self):
        return '''


def runtime(home: Path) -> dict[str, Any]:
    found = list((home / "run").glob("engine-*.json"))
    return dict(json.loads(found[0].read_text())) if found else {}


def opened(client: LspClient, text: str) -> str:
    """Open a document that no other test has; returns its uri."""
    uri = f"file:///project/stack{next(_numbers)}.py"
    client.open(uri, text)
    return uri


async def ready(client: LspClient) -> None:
    states = client.notifications["codeface/didChangeStatus"]
    await client.until(lambda: states and states[-1]["state"] in ("ready", "error"), timeout=100)
    assert states[-1]["state"] == "ready", states[-1]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("codeface")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(shared_home: Path) -> AsyncIterator[LspClient]:
    """One window and one engine for all tests of this file; each opens a document of its own."""
    async with language_server(shared_home, environ=ENVIRON) as client:
        await client.initialize()
        await ready(client)
        yield client


def function_range(first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}


async def type_keys(client: LspClient, uri: str, keys: str, line: int, column: int) -> list[dict[str, Any]]:
    """Type and ask after every key; the timings of each request that reached the engine."""
    timings = []
    for number, key in enumerate(keys):
        client.change(uri, number + 2, (line, column + number), (line, column + number), key)
        await client.inline(uri, line, column + number + 1)
        timings.append((await client.request("codeface/status", {}))["lastCompletion"])
    return timings


async def test_ghost_text_continues_what_was_typed_and_reuses_the_kv_cache(client: LspClient) -> None:
    uri = opened(client, TEXT)
    answer = await client.inline(uri, 16, 15)
    for item in answer if isinstance(answer, list) else answer["items"]:
        assert item["range"]["start"]["line"] == item["range"]["end"]["line"] == 16
        assert item["insertText"].strip()
    timings = [t for t in await type_keys(client, uri, "self.items", 16, 15) if t]
    assert timings, "no key reached the engine"
    last = timings[-1]
    assert last["promptTokens"] > 50
    assert last["promptTokens"] - last["cachedTokens"] <= 8


async def test_a_file_that_contains_special_tokens_is_ordinary_text(client: LspClient) -> None:
    text = "# <fim_middle> <fim_suffix> <|endoftext|> <file_sep>\n" + TEXT
    uri = opened(client, text)
    await client.inline(uri, 17, 15)
    timings = (await client.request("codeface/status", {}))["lastCompletion"]
    token_free = text.replace("<", "").replace(">", "").replace("|", "")
    await client.inline(opened(client, token_free), 17, 15)
    other = (await client.request("codeface/status", {}))["lastCompletion"]
    # As special tokens the four would be one id each; as text they are longer than the words alone.
    assert timings["promptTokens"] > other["promptTokens"]


async def test_explain_streams_its_pieces_and_then_answers_with_the_whole(client: LspClient) -> None:
    uri = opened(client, TEXT)
    params = {"textDocument": {"uri": uri}, "range": function_range(6, 8), "partialResultToken": "explain-1"}
    answer = await client.request("codeface/explain", params)
    pieces = [p["value"]["delta"] for p in client.notifications["$/progress"] if p["token"] == "explain-1"]
    assert answer["markdown"].strip()
    assert "".join(pieces).strip() == answer["markdown"].strip()


async def test_a_killed_engine_is_told_once_and_replaced_for_the_next_request(
    client: LspClient, shared_home: Path
) -> None:
    uri = opened(client, TEXT)
    await client.inline(uri, 16, 15)
    before = runtime(shared_home)
    os.kill(before["pid"], signal.SIGKILL)
    await asyncio.to_thread(
        psutil.wait_procs, [psutil.Process(before["pid"])] if psutil.pid_exists(before["pid"]) else [], 20
    )
    client.change(uri, 2, (16, 15), (16, 15), "s")
    await client.inline(uri, 16, 16)  # answered, with or without a suggestion
    await eventually(lambda: runtime(shared_home).get("pid", before["pid"]) != before["pid"], within_s=100)
    await ready(client)


async def test_three_windows_share_one_engine(codeface_home: Path) -> None:
    async with (
        language_server(codeface_home, environ=ENVIRON) as one,
        language_server(codeface_home, environ=ENVIRON) as two,
        language_server(codeface_home, environ=ENVIRON) as three,
    ):
        await asyncio.gather(one.initialize(), two.initialize(), three.initialize())
        await asyncio.gather(ready(one), ready(two), ready(three))
        engines = [
            process.pid
            for process in psutil.process_iter(["cmdline", "environ"])
            if "codeface_lsp.serving" in (process.info["cmdline"] or [])
            and (process.info["environ"] or {}).get("CODEFACE_HOME") == str(codeface_home)
        ]
        assert engines == [runtime(codeface_home)["pid"]]


async def test_the_engine_refuses_whoever_has_no_token(client: LspClient, shared_home: Path) -> None:
    engine = runtime(shared_home)
    url = f"http://127.0.0.1:{engine['port']}"
    with_token = {"Authorization": f"Bearer {engine['token']}"}
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as http:
        for route in ("/health", "/v1/models", "/metrics"):
            assert (await http.get(route)).status_code == 401
            assert (await http.get(route, headers=with_token)).status_code == 200
            assert (await http.get(route, headers=with_token | {"Host": "evil.example"})).status_code in (
                400,
                403,
                421,
            )
            assert (
                await http.get(route, headers=with_token | {"Origin": "http://evil.example"})
            ).status_code == 403
