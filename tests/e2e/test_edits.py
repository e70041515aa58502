"""Code actions and edit jobs through the real server: listed at once, applied by version, refused in one sentence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.http_servers import eventually
from tests.lsp_client import NO_ANSWER, LspClient

CODE = "import os\n\n\ndef area(r):\n    return 3.14 * (r * r\n\n\ndef main():\n    print(area(2))\n"
RIGHT = "```python\ndef area(r):\n    return 3.14 * (r * r)\n```"
WRONG = "```python\ndef area(r):\n    return ((3.14\n```"
PLACE = {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 24}}
DIAGNOSTIC = {
    "range": PLACE,
    "message": "'(' was never closed",
    "source": "ruff",
    "code": "syntax",
    "severity": 1,
}


async def actions(
    client: LspClient, uri: str, diagnostics: list[Any], only: list[str] | None = None
) -> list[Any]:
    context: dict[str, Any] = {"diagnostics": diagnostics}
    if only is not None:
        context["only"] = only
    params = {"textDocument": {"uri": uri}, "range": PLACE, "context": context}
    return list(await client.request("textDocument/codeAction", params))


async def start_fix(client: LspClient, uri: str) -> None:
    fix = next(a for a in await actions(client, uri, [DIAGNOSTIC]) if a["kind"] == "quickfix")
    assert await client.request("workspace/executeCommand", fix["command"]) is None


def messages(client: LspClient) -> list[str]:
    return [p["message"] for p in client.notifications["window/showMessage"]]


def applied(client: LspClient) -> list[dict[str, Any]]:
    return [r["params"] for r in client.requests if r["method"] == "workspace/applyEdit"]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "a.py").as_uri()


async def test_a_fix_is_listed_at_once_and_applied_minimally(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [WRONG] if len(asked) == 2 else [RIGHT])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE, version=7)
        listed = await actions(client, uri, [DIAGNOSTIC])
        titles = [a["title"] for a in listed]
        assert titles[0] == "CodeFace: fix “'(' was never closed”"
        assert any("explain" in title for title in titles) and any("simplify" in title for title in titles)
        assert model.asked == []
        assert [a["kind"] for a in await actions(client, uri, [DIAGNOSTIC], ["quickfix"])] == ["quickfix"]

        await start_fix(client, uri)
        await client.until(lambda: applied(client))
        (change,) = applied(client)[0]["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": uri, "version": 7}
        spot = {"line": 4, "character": 24}
        assert change["edits"] == [{"range": {"start": spot, "end": spot}, "newText": ")"}]
        assert "[ruff syntax] '(' was never closed" in model.asked[0][1]["content"]
        assert "does not parse" in model.asked[1][-1]["content"], (
            "the wrong answer got one more try, with the error"
        )
        begun = [p for p in client.notifications["$/progress"] if p["value"].get("kind") == "begin"]
        assert any(p["value"]["cancellable"] and "fix" in p["value"]["title"] for p in begun)


async def test_wrong_answers_are_refused_in_one_sentence(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [WRONG])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        await start_fix(client, uri)
        await client.until(lambda: messages(client))
        assert "not applied" in messages(client)[0] and messages(client)[0].count(". ") == 0
        assert applied(client) == []


async def test_a_job_follows_edits_elsewhere_and_refuses_those_inside(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [RIGHT], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        await start_fix(client, uri)
        await eventually(lambda: len(model.asked) == 1)
        client.change(uri, 2, (0, 0), (0, 0), "# first line\n")
        await client.request("codeface/status", {})
        model.let(1)
        await client.until(lambda: applied(client))
        (change,) = applied(client)[0]["edit"]["documentChanges"]
        assert change["textDocument"]["version"] == 2
        assert change["edits"][0]["range"]["start"] == {"line": 5, "character": 24}

        client.change(uri, 3, (0, 0), (1, 0), "")
        await start_fix(client, uri)
        await eventually(lambda: len(model.asked) == 2)
        client.change(uri, 4, (4, 4), (4, 4), "x = ")
        await client.request("codeface/status", {})
        model.let(1)
        await client.until(lambda: messages(client))
        assert "changed meanwhile" in messages(client)[0]
        assert len(applied(client)) == 1


async def test_the_cancel_button_stops_the_model(codeface_home: Path, tmp_path: Path, uri: str) -> None:
    model = ScriptedModel(lambda asked: ["a", RIGHT], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        await start_fix(client, uri)
        await eventually(lambda: len(model.asked) == 1)
        model.let(1)
        begun = await client.until(
            lambda: [p for p in client.notifications["$/progress"] if "fix" in p["value"].get("title", "")]
        )
        client.notify("window/workDoneProgress/cancel", {"token": begun[0]["token"]})
        await eventually(lambda: model.ended_early == 1)
        assert applied(client) == [] and messages(client) == []


async def test_an_editor_that_refuses_or_never_answers(codeface_home: Path, tmp_path: Path, uri: str) -> None:
    model = ScriptedModel(lambda asked: [RIGHT])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        client.on_request["workspace/applyEdit"] = lambda _: {"applied": False, "failureReason": "read-only"}
        await start_fix(client, uri)
        await client.until(lambda: messages(client))
        assert messages(client)[0] == "The editor did not apply the edit (read-only); ask again."
        client.on_request["workspace/applyEdit"] = lambda _: NO_ANSWER
        await start_fix(client, uri)
        await client.until(lambda: len(applied(client)) == 2)
        assert await actions(client, uri, []), "the server lives on"


async def test_actions_are_listed_within_ten_milliseconds(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    """Measured against an empty request of the same run, because a loaded machine says nothing in absolute terms."""
    text = CODE.replace("(r * r", "(r * r)") * 400
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        client.open(uri, text)
        assert len(await actions(client, uri, [DIAGNOSTIC])) >= 4
        listing, empty = [], []
        for _ in range(30):
            started = time.perf_counter()
            await actions(client, uri, [DIAGNOSTIC])
            listing.append(time.perf_counter() - started)
            started = time.perf_counter()
            await client.request("codeface/status", {})
            empty.append(time.perf_counter() - started)
        listing.sort()
        empty.sort()
        print(
            f"list actions in 3,600 lines: median {listing[15] * 1000:.1f} ms; empty {empty[15] * 1000:.1f} ms"
        )
        assert listing[15] - empty[15] < max(0.010, 4 * empty[15])
