"""Work-done progress on the wire: every token that the client took is begun once and ended once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.e2e.test_edits import CODE, RIGHT, applied, start_fix
from tests.lsp_client import LspClient, language_server

CREATE = "window/workDoneProgress/create"
MOCK = {"CODEFACE_ENGINE__MOCK": "true"}


def created(client: LspClient) -> list[str]:
    return [request["params"]["token"] for request in client.requests if request["method"] == CREATE]


def kinds(client: LspClient) -> dict[str, list[str]]:
    """The steps of each token, without the reports between them."""
    found: dict[str, list[str]] = defaultdict(list)
    for step in client.notifications["$/progress"]:
        if (kind := step["value"].get("kind")) in ("begin", "end"):
            found[step["token"]].append(kind)
    return found


def balanced(client: LspClient) -> bool:
    steps = kinds(client)
    return bool(steps) and all(steps[token] == ["begin", "end"] for token in created(client))


def hold_answers(client: LspClient) -> asyncio.Event:
    """Let the client create no progress before the event."""
    let = asyncio.Event()

    async def answer(_: Any) -> None:
        await let.wait()

    client.on_request[CREATE] = answer
    return let


async def test_starting_indexing_and_loading_are_each_begun_and_ended(
    codeface_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "module.py").write_text("def function():\n    pass\n")
    async with language_server(codeface_home, environ=MOCK) as client:
        await client.initialize(tmp_path)
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(lambda: states and states[-1]["state"] == "ready", timeout=100)
        await client.until(lambda: balanced(client))


async def test_work_that_is_done_before_the_client_answers_leaves_no_spinner_behind(
    codeface_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "module.py").write_text("def function():\n    pass\n")
    async with language_server(codeface_home, environ=MOCK) as client:
        let = hold_answers(client)
        await client.initialize(tmp_path)
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(lambda: states and states[-1]["state"] == "ready", timeout=100)
        await client.until(lambda: created(client))
        assert not kinds(client)
        let.set()
        await client.until(lambda: balanced(client))


async def test_a_job_that_did_not_wait_for_a_slow_client_ends_its_progress_too(
    codeface_home: Path, tmp_path: Path
) -> None:
    uri = (tmp_path / "a.py").as_uri()
    async with scripted_server(codeface_home, ScriptedModel(lambda asked: [RIGHT]), tmp_path) as client:
        let = hold_answers(client)
        client.open(uri, CODE)
        await start_fix(client, uri)
        await client.until(lambda: applied(client))
        assert created(client) and not kinds(client)
        let.set()
        await client.until(lambda: balanced(client))
