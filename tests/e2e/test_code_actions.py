"""Which actions are offered where, under which kinds, and what they ask of the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.e2e.test_edits import applied, messages
from tests.lsp_client import LspClient

CODE = """import os


def area(r):
    return undefined * r


def stub():
    raise NotImplementedError


class Box:
    \"\"\"A box.\"\"\"

    side = 1
"""


def at(line: int, message: str = "") -> dict[str, Any]:
    place = {"start": {"line": line, "character": 4}, "end": {"line": line, "character": 6}}
    return {"range": place, "message": message} if message else place


async def offered(client: LspClient, uri: str, line: int, *problems: str, **context: Any) -> dict[str, Any]:
    """Actions by title, without the program's name."""
    about = {"diagnostics": [at(line, problem) for problem in problems], **context}
    params = {"textDocument": {"uri": uri}, "range": at(line), "context": about}
    found = await client.request("textDocument/codeAction", params)
    return {action["title"].removeprefix("CodeFace: "): action for action in found}


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "a.py").as_uri()


async def test_what_is_offered_depends_on_the_place(codeface_home: Path, tmp_path: Path, uri: str) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        client.open(uri, CODE)
        kinds = {title: action["kind"] for title, action in (await offered(client, uri, 4)).items()}
        assert kinds == {
            "explain `area`": "codeface.explain",
            "document `area`": "refactor.rewrite.codeface.docstring",
            "write tests for `area`": "refactor.codeface.tests",
            "simplify `area`": "refactor.rewrite.codeface.simplify",
            "refactor `area` as I say...": "refactor.rewrite.codeface.refactor",
        }
        assert "complete `stub`" in await offered(client, uri, 8)
        assert "rewrite the documentation of `Box`" in await offered(client, uri, 14)
        assert list(await offered(client, uri, 1)) == [], "nothing stands there"
        problems = await offered(client, uri, 4, "undefined name", "line too long")
        assert [title for title, action in problems.items() if action["kind"] == "quickfix"] == [
            "fix “undefined name”",
            "fix “line too long”",
            "fix all problems here",
        ]
        (diagnostic,) = problems["fix “undefined name”"]["diagnostics"]
        assert diagnostic["message"] == "undefined name"


async def test_an_editor_that_wants_certain_kinds_gets_no_others(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    """Also in a chat document: an action on save must never send a message."""
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        client.open(uri, CODE)
        for only, count in (
            ("quickfix", 1),
            ("refactor.rewrite", 3),
            ("refactor", 4),
            ("codeface", 1),
            ("", 6),
        ):
            assert len(await offered(client, uri, 4, "bad", only=[only])) == count
        assert await offered(client, uri, 4, "bad", only=["source.fixAll", "source"]) == {}
        document = codeface_home / "chats" / "0" / "chat-0123456789ab.md"
        client.open(document.as_uri(), "## You\n\nhello\n", "markdown")
        assert list(await offered(client, document.as_uri(), 2)) == ["send"]
        assert list(await offered(client, document.as_uri(), 2, only=["codeface.chat"])) == ["send"]
        assert await offered(client, document.as_uri(), 2, only=["source.organizeImports"]) == {}


async def test_nothing_is_offered_for_what_no_model_may_see(codeface_home: Path, tmp_path: Path) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        secret = (tmp_path / ".env").as_uri()
        client.open(secret, CODE)
        assert await offered(client, secret, 4, "bad") == {}
        assert await offered(client, (tmp_path / "not-open.py").as_uri(), 4) == {}
        arguments = [{"uri": secret, "range": at(4)}]
        await client.request(
            "workspace/executeCommand", {"command": "codeface.simplify", "arguments": arguments}
        )
        (message,) = await client.until(lambda: messages(client))
        assert "does not show this file to a model" in message


async def test_all_problems_of_a_scope_are_fixed_by_one_edit(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    fixed = "import math\n\n\ndef area(r):\n    return math.pi * r"
    model = ScriptedModel(lambda asked: [f"```python\n{fixed}\n```"])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        actions = await offered(client, uri, 4, "undefined name", "not documented")
        await client.request("workspace/executeCommand", actions["fix all problems here"]["command"])
        await client.until(lambda: applied(client))
        asked = model.asked[0][1]["content"]
        assert "- line 5: undefined name" in asked and "- line 5: not documented" in asked
        (change,) = applied(client)[0]["edit"]["documentChanges"]
        assert "".join(e["newText"] for e in change["edits"]).count("math") == 2


async def test_a_stub_is_completed_and_an_outdated_action_is_refused(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    model = ScriptedModel(lambda asked: ["```python\ndef stub():\n    return 1\n```"])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        client.open(uri, CODE)
        complete = (await offered(client, uri, 8))["complete `stub`"]["command"]
        await client.request("workspace/executeCommand", complete)
        await client.until(lambda: applied(client))
        assert "is unfinished" in model.asked[0][1]["content"]
        client.change(uri, 2, (0, 0), (0, 0), "# typed\n")
        with pytest.raises(Exception, match="changed since this was offered"):
            await client.request("workspace/executeCommand", complete)


async def test_refactoring_asks_for_the_instruction_in_a_chat_document(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        client.open(uri, CODE)
        shown: list[str] = []
        client.on_request["window/showDocument"] = lambda params: (
            shown.append(params["uri"]) or {"success": True}
        )
        action = (await offered(client, uri, 4))["refactor `area` as I say..."]
        await client.request("workspace/executeCommand", action["command"])
        await client.until(lambda: shown)
        text = Path(shown[0].removeprefix("file://")).read_text()
        assert text.rstrip("\n").endswith("## You\n\n/refactor ")
