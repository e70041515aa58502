"""Explain and chat through the real server: streamed, cancelled, kept, in a panel and in a document."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.http_servers import eventually
from tests.lsp_client import LspClient, ServerError

CODE = "def area(r):\n    return 3.14 * r * r\n\n\ndef main():\n    print(area(2))\n"


def span(first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}


def deltas(client: LspClient, token: str) -> list[str]:
    values = [p["value"] for p in client.notifications["$/progress"] if p["token"] == token]
    return [value["delta"] for value in values if "delta" in value]


async def test_explain_streams_and_a_cancel_stops_the_model(codeface_home: Path, tmp_path: Path) -> None:
    model = ScriptedModel(lambda messages: ["It ", "computes ", "an ", "area."], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        params = {
            "textDocument": {"uri": uri},
            "range": span(0, 2),
            "partialResultToken": "p1",
            "workDoneToken": "w1",
        }
        _, answer = client.start("codeface/explain", params)
        model.let(2)
        await client.until(lambda: deltas(client, "p1") == ["It ", "computes "])
        model.let(2)
        assert (await asyncio.wait_for(answer, 30))["markdown"] == "It computes an area."
        kinds = [p["value"].get("kind") for p in client.notifications["$/progress"] if p["token"] == "w1"]
        assert kinds == ["begin", "end"]
        assert "def area(r):" in model.asked[0][1]["content"]
        assert "def main" not in model.asked[0][1]["content"]

        request_id, cancelled = client.start("codeface/explain", params | {"partialResultToken": "p2"})
        await eventually(lambda: len(model.asked) == 2)
        model.let(1)
        await client.until(lambda: deltas(client, "p2") == ["It "])
        client.cancel(request_id)
        with pytest.raises(ServerError) as error:
            await asyncio.wait_for(cancelled, 30)
        assert error.value.code == -32800
        await eventually(lambda: model.ended_early == 1)
        assert len(model.sent_at) == 5, "no further piece was generated"


async def test_conversations_are_kept_edited_and_deleted(codeface_home: Path, tmp_path: Path) -> None:
    model = ScriptedModel(lambda messages: [f"answer to {messages[-1]['content']}", "\n```py\nx = 1\n```"])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        first = await client.request("codeface/chat", {"message": "one"})
        assert first["codeBlocks"] == [{"language": "python", "code": "x = 1\n"}]
        known = {"conversationId": first["conversationId"]}
        await client.request("codeface/chat", {"message": "two", **known})
        assert [m["content"] for m in model.asked[-1] if m["role"] == "user"] == ["one", "two"]

        await client.request("codeface/chat.regenerate", known)
        assert [m["content"] for m in model.asked[-1] if m["role"] == "user"] == ["one", "two"]
        await client.request("codeface/chat.edit", {"message": "uno", "turn": 0, **known})
        assert [m["content"] for m in model.asked[-1] if m["role"] == "user"] == ["uno"]

        listed = (await client.request("codeface/chat.list", {}))["conversations"]
        assert [(c["title"], c["turns"]) for c in listed] == [("uno", 2)]
        got = await client.request("codeface/chat.get", known)
        assert [t["role"] for t in got["turns"]] == ["user", "assistant"]
        await client.request("codeface/chat.delete", known)
        assert (await client.request("codeface/chat.list", {}))["conversations"] == []
        with pytest.raises(ServerError, match="no such conversation"):
            await client.request("codeface/chat", {"message": "more", **known})
        with pytest.raises(ServerError, match="did you mean `/explain`"):
            await client.request("codeface/chat", {"message": "/explian"})


async def test_the_first_token_is_passed_on_at_once(codeface_home: Path, tmp_path: Path) -> None:
    """Time from the model server's send to the client's receipt, as a ratio to a plain request's round trip."""
    model = ScriptedModel(lambda messages: ["x"] * 40, held=True)
    delays, echoes = [], []
    async with scripted_server(codeface_home, model, tmp_path) as client:
        _, answer = client.start("codeface/chat", {"message": "go", "partialResultToken": "t"})
        await eventually(lambda: len(model.asked) == 1)
        for number in range(40):
            model.let(1)
            await client.until(lambda number=number: len(deltas(client, "t")) > number)
            delays.append(time.perf_counter() - model.sent_at[number])
            started = time.perf_counter()
            await client.request("codeface/status", {})
            echoes.append(time.perf_counter() - started)
        await asyncio.wait_for(answer, 30)
    delay, echo = sorted(delays)[20], sorted(echoes)[20]
    print(f"token to client: median {delay * 1000:.1f} ms; empty request: median {echo * 1000:.1f} ms")
    assert delay < max(0.010, 5 * echo)


class ChatDocument:
    """What an editor does with the chat document: opens it, applies versioned edits, lets its user type."""

    def __init__(self, client: LspClient, refuse: bool = False) -> None:
        self.client = client
        self.text = ""
        self.version = 0
        self.uri = ""
        self.edits = 0
        client.on_request["window/showDocument"] = self.show
        client.on_request["workspace/applyEdit"] = self.apply

    def show(self, params: dict[str, Any]) -> dict[str, Any]:
        if not self.uri:
            self.uri = params["uri"]
            self.text = Path(self.uri.removeprefix("file://")).read_text()
            self.version = 1
            self.client.open(self.uri, self.text, "markdown")
        return {"success": True}

    def offset(self, position: dict[str, int]) -> int:
        lines = self.text.split("\n")
        return sum(len(line) + 1 for line in lines[: position["line"]]) + position["character"]

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        (change,) = params["edit"]["documentChanges"]
        if change["textDocument"]["version"] != self.version:
            return {"applied": False, "failureReason": "the document moved on"}
        self.edits += 1
        for edit in change["edits"]:
            self.replace(edit["range"]["start"], edit["range"]["end"], edit["newText"])
        return {"applied": True}

    def replace(self, start: dict[str, int], end: dict[str, int], text: str) -> None:
        first, last = self.offset(start), self.offset(end)
        self.text = self.text[:first] + text + self.text[last:]
        self.version += 1
        self.client.change(
            self.uri, self.version, (start["line"], start["character"]), (end["line"], end["character"]), text
        )


async def test_an_answer_streams_into_a_document_in_which_one_types(
    codeface_home: Path, tmp_path: Path
) -> None:
    pieces = [f"word{n} " for n in range(30)]
    model = ScriptedModel(lambda messages: pieces, held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = ChatDocument(client)
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        argument = {"uri": uri, "version": 1, "range": span(0, 2)}
        await client.request(
            "workspace/executeCommand", {"command": "codeface.explain", "arguments": [argument]}
        )
        await eventually(lambda: len(model.asked) == 1)
        typed = ""
        for number in range(30):
            model.let(1)
            top = {"line": 0, "character": 0}
            editor.replace(top, top, chr(0x4E00 + number))
            typed = chr(0x4E00 + number) + typed
            await asyncio.sleep(0.01)
        await client.until(lambda: editor.text.rstrip().endswith("## You"))
        assert editor.text.startswith(typed + "# CodeFace chat")
        assert "".join(pieces).strip() in editor.text
        assert "_Looked at `a.py:1-2`._" in editor.text
        assert editor.edits < 20

        editor.replace({"line": 0, "character": 0}, {"line": 0, "character": 30}, "")
        end = {"line": editor.text.count("\n"), "character": 0}
        editor.replace(end, end, "and now?")
        params = {"textDocument": {"uri": editor.uri}, "range": {"start": end, "end": end}}
        offered = await client.request("textDocument/codeAction", params | {"context": {"diagnostics": []}})
        send = next(a for a in offered if a["title"] == "CodeFace: send")
        model.let(40)
        await client.request("workspace/executeCommand", send["command"])
        await eventually(lambda: len(model.asked) == 2)
        assert [m["role"] for m in model.asked[1]] == ["system", "user", "assistant", "user"]
        await client.until(
            lambda: editor.text.count("word29") == 2 and editor.text.rstrip().endswith("## You")
        )
