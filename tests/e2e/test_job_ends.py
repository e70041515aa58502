"""However a job ends (cancelled, refused, unanswered, overtaken), it ends once, in one sentence, nothing half done."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codeface_lsp.lsp import apply
from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.e2e.test_edits import CODE, RIGHT, WRONG, actions, applied, messages, start_fix
from tests.http_servers import eventually
from tests.lsp_client import NO_ANSWER, LspClient

IMPATIENT = [
    sys.executable,
    "-c",
    "from codeface_lsp import server; from codeface_lsp.lsp import apply; apply.PATIENCE_S = 1; server.serve_stdio()",
]
"""A server that waits a second for an editor's answer."""


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "a.py").as_uri()


def progress(client: LspClient, kind: str, title: str = "fix") -> list[Any]:
    """Begins of jobs with that title, or their ends."""
    steps = client.notifications["$/progress"]
    tokens = [p["token"] for p in steps if title in p["value"].get("title", "")]
    return [p for p in steps if p["token"] in tokens and p["value"].get("kind") == kind]


def one_sentence(text: str) -> bool:
    return text.endswith(".") and ". " not in text and "\n" not in text


STAGES: dict[str, tuple[int, Callable[[ScriptedModel], bool]]] = {
    "while the model reads": (0, lambda model: len(model.asked) == 1),
    "while the model writes": (2, lambda model: len(model.sent_at) == 2),
    "while the model tries again": (3, lambda model: len(model.asked) == 2),
    "while the editor applies": (6, lambda model: len(model.sent_at) == 6),
}
"""How many pieces of the model's answers are let through, and how one knows that the stage is reached."""


@pytest.mark.parametrize("stage", STAGES)
async def test_a_job_can_be_cancelled_at_each_stage(
    stage: str, codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    """Two tries of three pieces each; the editor holds its answer until the job was cancelled."""
    pieces, reached = STAGES[stage]
    answers = iter([list(_thirds(WRONG)), list(_thirds(RIGHT)), list(_thirds(RIGHT))])
    model = ScriptedModel(lambda asked: next(answers), held=True)
    cancelled = asyncio.Event()

    async def hold(params: Any) -> dict[str, Any]:
        await cancelled.wait()
        return {"applied": False}

    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.on_request["workspace/applyEdit"] = hold
        client.open(uri, CODE)
        await start_fix(client, uri)
        await client.until(lambda: progress(client, "begin"))
        model.let(pieces)
        await eventually(lambda: reached(model))
        if stage == "while the editor applies":
            await client.until(lambda: applied(client))
        client.notify("window/workDoneProgress/cancel", {"token": progress(client, "begin")[0]["token"]})
        (end,) = await client.until(lambda: progress(client, "end"))
        assert end["value"]["message"] == "cancelled"
        cancelled.set()
        early = 0 if stage == "while the editor applies" else 1
        await eventually(lambda: model.ended_early == early)
        assert messages(client) == [], "who cancels need not be told"
        assert len(applied(client)) == (stage == "while the editor applies")

        client.on_request["workspace/applyEdit"] = lambda _: {"applied": True}
        model.script = lambda asked: [RIGHT]
        model.let(9)
        before = len(applied(client))
        await start_fix(client, uri)
        await client.until(lambda: len(applied(client)) > before)


def _thirds(text: str) -> tuple[str, str, str]:
    third = len(text) // 3
    return text[:third], text[third : 2 * third], text[2 * third :]


async def test_a_document_that_is_closed_meanwhile_gets_no_edit(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [RIGHT], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        await start_fix(client, uri)
        await eventually(lambda: len(model.asked) == 1)
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
        await client.request("codeface/status", {})
        model.let(1)
        (message,) = await client.until(lambda: messages(client))
        assert message == "Nothing was edited, because the document was closed meanwhile; ask again."
        await client.until(lambda: progress(client, "end"))
        assert applied(client) == []


async def test_an_edit_that_arrives_late_is_made_again_for_the_newer_text(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    """The editor refuses the first one, because its user typed while it was on the way."""
    async with scripted_server(codeface_home, ScriptedModel(lambda asked: [RIGHT]), tmp_path) as client:

        def refuse_once(params: Any) -> dict[str, Any]:
            if len(applied(client)) == 1:
                client.change(uri, 2, (0, 0), (0, 0), "# typed\n")
                return {"applied": False, "failureReason": "the document moved on"}
            return {"applied": True}

        client.on_request["workspace/applyEdit"] = refuse_once
        client.open(uri, CODE)
        await start_fix(client, uri)
        await client.until(lambda: progress(client, "end"))
        changes = [edit["edit"]["documentChanges"][0] for edit in applied(client)]
        assert [change["textDocument"]["version"] for change in changes] == [1, 2]
        assert [change["edits"][0]["range"]["start"]["line"] for change in changes] == [4, 5]
        assert messages(client) == []


async def test_an_error_as_the_editors_answer_is_one_sentence(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    async with scripted_server(codeface_home, ScriptedModel(lambda asked: [RIGHT]), tmp_path) as client:

        def fail(params: Any) -> Any:
            request = client.requests[-1]["id"]
            error = {"code": -32603, "message": "no such buffer"}
            client.send({"jsonrpc": "2.0", "id": request, "error": error})
            return NO_ANSWER

        client.on_request["workspace/applyEdit"] = fail
        client.open(uri, CODE)
        await start_fix(client, uri)
        (message,) = await client.until(lambda: messages(client))
        assert message == "The editor did not apply the edit (no such buffer); ask again."


def test_an_editor_has_ten_seconds_to_answer() -> None:
    assert apply.PATIENCE_S == 10


async def test_an_editor_that_never_answers_ends_the_job_with_one_sentence(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    """In the time that it has, and not before. One that applies the edit without a word is taken at its deed."""
    model = ScriptedModel(lambda asked: [RIGHT])
    async with scripted_server(codeface_home, model, tmp_path, command=IMPATIENT) as client:
        client.on_request["workspace/applyEdit"] = lambda _: NO_ANSWER
        client.open(uri, CODE)
        await start_fix(client, uri)
        await client.until(lambda: applied(client))
        started = time.monotonic()
        (message,) = await client.until(lambda: messages(client))
        assert 0.5 < time.monotonic() - started < 15
        assert "did not say within 1 s" in message and one_sentence(message)
        await client.until(lambda: len(progress(client, "end")) == 1)

        def apply_silently(params: Any) -> Any:
            (change,) = params["edit"]["documentChanges"]
            place = change["edits"][0]["range"]["start"]
            spot = (place["line"], place["character"])
            client.change(uri, 2, spot, spot, change["edits"][0]["newText"])
            return NO_ANSWER

        client.on_request["workspace/applyEdit"] = apply_silently
        await start_fix(client, uri)
        await client.until(lambda: len(progress(client, "end")) == 2)
        assert messages(client) == [message]
        assert await actions(client, uri, []), "the server lives on"


PREVIEWS = {
    "workspace": {
        "applyEdit": True,
        "workspaceEdit": {
            "documentChanges": True,
            "resourceOperations": ["create"],
            "changeAnnotationSupport": {"groupsOnLabel": True},
        },
    }
}
PLAIN = {"workspace": {"applyEdit": True}}


async def started(client: LspClient, uri: str, command: str, **more: Any) -> dict[str, Any]:
    """The workspace edit that a command ends in."""
    before = len(applied(client))
    span = {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 4}}
    arguments = [{"uri": uri, "range": span, **more}]
    await client.request("workspace/executeCommand", {"command": command, "arguments": arguments})
    await client.until(lambda: len(applied(client)) > before)
    edit: dict[str, Any] = applied(client)[-1]["edit"]
    return edit


async def test_large_edits_are_previewed_where_the_editor_can(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    whole = CODE.replace("(r * r", "(r * r)")
    model = ScriptedModel(lambda asked: ["```python\ndef area(r):\n    return 3 * (r * r)\n```"])
    async with scripted_server(codeface_home, model, tmp_path, **PREVIEWS) as client:
        client.open(uri, whole)
        edit = await started(client, uri, "codeface.refactor", instruction="rounder")
        (name,) = edit["changeAnnotations"]
        annotation = edit["changeAnnotations"][name]
        assert annotation == {"label": "CodeFace: refactor", "needsConfirmation": True}
        (change,) = edit["documentChanges"]
        assert {e["annotationId"] for e in change["edits"]} == {name}

        model.script = lambda asked: ["```python\ndef test_area():\n    assert True\n```"]
        edit = await started(client, uri, "codeface.tests")
        create, change = edit["documentChanges"]
        assert create["kind"] == "create" and create["uri"] == change["textDocument"]["uri"]
        assert change["edits"][0]["annotationId"] in edit["changeAnnotations"]

        model.script = lambda asked: ["```python\ndef area(r):\n    return 3.15 * (r * r)\n```"]
        edit = await started(client, uri, "codeface.fix")
        assert "changeAnnotations" not in edit, "a small edit goes in at once; undo is one step"


async def test_an_editor_without_versions_gets_plain_changes(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [RIGHT])
    async with scripted_server(codeface_home, model, tmp_path, **PLAIN) as client:
        client.open(uri, CODE)
        edit = await started(client, uri, "codeface.fix")
        assert list(edit) == ["changes"] and [e["newText"] for e in edit["changes"][uri]] == [")"]


async def test_an_editor_that_cannot_apply_edits_is_told_so(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: [RIGHT])
    async with scripted_server(codeface_home, model, tmp_path, workspace={}) as client:
        client.open(uri, CODE)
        await start_fix(client, uri)
        (message,) = await client.until(lambda: messages(client))
        assert "cannot apply edits" in message and one_sentence(message)
