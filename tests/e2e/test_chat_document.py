"""The chat document: an answer streams into it while one types, it is kept, and its code goes to the file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.e2e.test_chat import CODE, span
from tests.e2e.test_edits import messages
from tests.http_servers import eventually
from tests.lsp_client import NO_ANSWER, LspClient, ServerError


class Editor:
    """Opens what the server shows, applies versioned edits of whatever is open, lets its user type."""

    def __init__(self, client: LspClient) -> None:
        self.client = client
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.chat = ""
        self.shown: list[dict[str, Any]] = []
        self.edits = 0
        self.refuses = False
        client.on_request["window/showDocument"] = self.show
        client.on_request["workspace/applyEdit"] = self.apply

    @property
    def text(self) -> str:
        """The chat document's."""
        return self.texts[self.chat]

    def open(self, uri: str, text: str, language: str = "python") -> None:
        self.texts[uri], self.versions[uri] = text, self.versions.get(uri, 0) + 1
        self.client.open(uri, text, language, self.versions[uri])

    def close(self, uri: str) -> None:
        del self.texts[uri]
        self.client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def show(self, params: dict[str, Any]) -> dict[str, Any]:
        self.shown.append(params)
        uri = params["uri"]
        if uri not in self.texts:
            self.chat = uri
            self.open(uri, Path(uri.removeprefix("file://")).read_text(), "markdown")
        return {"success": True}

    def apply(self, params: dict[str, Any]) -> dict[str, Any]:
        (change,) = params["edit"]["documentChanges"]
        uri, version = change["textDocument"]["uri"], change["textDocument"]["version"]
        if self.refuses or uri not in self.texts or version != self.versions[uri]:
            return {"applied": False, "failureReason": "the document moved on"}
        self.edits += 1
        for edit in reversed(change["edits"]):
            self.replace(edit["range"]["start"], edit["range"]["end"], edit["newText"], uri)
        return {"applied": True}

    def replace(self, start: dict[str, int], end: dict[str, int], text: str, uri: str = "") -> None:
        uri = uri or self.chat
        first, last = self._offset(uri, start), self._offset(uri, end)
        self.texts[uri] = self.texts[uri][:first] + text + self.texts[uri][last:]
        self.versions[uri] += 1
        place = (start["line"], start["character"]), (end["line"], end["character"])
        self.client.change(uri, self.versions[uri], *place, text)

    def type_at_end(self, text: str) -> None:
        lines = self.text.split("\n")
        end = {"line": len(lines) - 1, "character": len(lines[-1])}
        self.replace(end, end, text)

    def _offset(self, uri: str, position: dict[str, int]) -> int:
        lines = self.texts[uri].split("\n")
        return sum(len(line) + 1 for line in lines[: position["line"]]) + position["character"]

    @property
    def answered(self) -> bool:
        return bool(self.chat) and self.text.rstrip().endswith("## You")

    async def actions(self, needle: str = "") -> dict[str, Any]:
        """The code actions where `needle` stands in the chat document, by title."""
        line = self.text[: self.text.index(needle) if needle else len(self.text)].count("\n")
        params = {"textDocument": {"uri": self.chat}, "range": span(line, line)}
        params["context"] = {"diagnostics": []}
        found = await self.client.request("textDocument/codeAction", params)
        return {action["title"].removeprefix("CodeFace: "): action["command"] for action in found}

    async def run(self, command: Any, *arguments: Any) -> None:
        given = {"command": command, "arguments": list(arguments)} if isinstance(command, str) else command
        await self.client.request("workspace/executeCommand", given)

    async def send(self, message: str) -> None:
        """Write a message at the end and send it."""
        self.type_at_end(message)
        await self.run((await self.actions())["send"])


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return (tmp_path / "a.py").as_uri()


async def conversations(client: LspClient) -> list[dict[str, Any]]:
    return list((await client.request("codeface/chat.list", {}))["conversations"])


async def answer_begins(editor: Editor, model: ScriptedModel) -> None:
    """Ask a held model in a new chat document, until the first piece of its answer stands there."""
    await editor.run("codeface.chat", "count")
    await eventually(lambda: len(model.asked) == 1)
    model.let(1)
    await editor.client.until(lambda: editor.chat and "one" in editor.text)


async def test_an_answer_streams_into_a_document_in_which_one_types(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    pieces = [f"word{n} " for n in range(30)]
    model = ScriptedModel(lambda messages: pieces, held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        editor.open(uri, CODE)
        await editor.run("codeface.explain", {"uri": uri, "version": 1, "range": span(0, 2)})
        await eventually(lambda: len(model.asked) == 1)
        typed = ""
        for number in range(30):
            model.let(1)
            top = {"line": 0, "character": 0}
            editor.replace(top, top, chr(0x4E00 + number))
            typed = chr(0x4E00 + number) + typed
            await asyncio.sleep(0.01)
        await client.until(lambda: editor.answered)
        assert editor.text.startswith(typed + "# CodeFace chat")
        assert "".join(pieces).strip() in editor.text
        assert "_Looked at `a.py:1-2`._" in editor.text
        assert editor.edits < 20

        editor.replace({"line": 0, "character": 0}, {"line": 0, "character": 30}, "")
        model.let(40)
        await editor.send("and now?")
        await eventually(lambda: len(model.asked) == 2)
        assert [m["role"] for m in model.asked[1]] == ["system", "user", "assistant", "user"]
        await client.until(lambda: editor.text.count("word29") == 2 and editor.answered)


async def test_a_document_s_conversation_is_kept_listed_continued_and_opened_again(
    codeface_home: Path, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda messages: [f"answer {len(messages)}"])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        await editor.run("codeface.chat", "one")
        await client.until(lambda: editor.answered)
        (kept,) = await conversations(client)
        assert (kept["title"], kept["turns"]) == ("one", 2)
        known = {"conversationId": kept["conversationId"]}
        await client.request("codeface/chat", {"message": "two, in a panel", **known})
        assert [m["content"] for m in model.asked[-1][1:]] == ["one", "answer 2", "two, in a panel"]

        first = editor.chat
        editor.close(first)
        await editor.run("codeface.chat", known)
        await client.until(lambda: first in editor.texts)
        assert "two, in a panel" in editor.text and "answer 4" in editor.text
        await editor.send("three")
        await client.until(lambda: editor.answered)
        assert len(model.asked[-1]) == 6
        (again,) = await conversations(client)
        assert (again["conversationId"], again["turns"]) == (kept["conversationId"], 6)

        await client.request("codeface/chat.delete", known)
        assert await conversations(client) == [] and not Path(first.removeprefix("file://")).exists()
        with pytest.raises(ServerError, match="no such conversation"):
            await editor.run("codeface.chat", known)


async def test_a_document_that_was_saved_with_notes_is_opened_as_it_was(
    codeface_home: Path, tmp_path: Path
) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        editor = Editor(client)
        await editor.run("codeface.chat", "one")
        await client.until(lambda: editor.answered)
        file = Path(editor.chat.removeprefix("file://"))
        file.write_text("my notes\n\n" + editor.text)
        editor.close(editor.chat)
        (kept,) = await conversations(client)
        await editor.run("codeface.chat", {"conversationId": kept["conversationId"]})
        await client.until(lambda: editor.chat in editor.texts)
        assert editor.text.startswith("my notes\n")


async def test_clear_in_a_document_forgets_what_stands_above_it(codeface_home: Path, tmp_path: Path) -> None:
    model = ScriptedModel()
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        await editor.run("codeface.chat", "one")
        await client.until(lambda: editor.answered)
        await editor.send("/clear")
        await client.until(lambda: "forgotten" in editor.text and editor.answered)
        await editor.send("two")
        await client.until(lambda: editor.text.count("Hello there.") == 2 and editor.answered)
        assert [m["content"] for m in model.asked[-1][1:]] == ["two"]


async def test_closing_the_document_stops_the_answer_and_keeps_what_there_is(
    codeface_home: Path, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda messages: ["one ", "two ", "three"], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        await answer_begins(editor, model)
        editor.close(editor.chat)
        await client.request("codeface/status", {})
        model.let(1)
        (message,) = await client.until(lambda: messages(client))
        assert "was closed" in message and message.count(".") == 1
        await eventually(lambda: model.ended_early == 1)
        (kept,) = await conversations(client)
        turns = (await client.request("codeface/chat.get", {"conversationId": kept["conversationId"]}))[
            "turns"
        ]
        assert turns[0]["content"] == "count" and turns[1]["content"] in ("one", "one two")


async def test_the_cancel_button_stops_the_answer_and_says_so_in_the_document(
    codeface_home: Path, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda messages: ["one ", "two"], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        await answer_begins(editor, model)
        steps = client.notifications["$/progress"]
        (begun,) = [p for p in steps if p["value"].get("title") == "CodeFace answers"]
        client.notify("window/workDoneProgress/cancel", {"token": begun["token"]})
        await client.until(lambda: editor.answered)
        assert "one" in editor.text and "_(cancelled)_" in editor.text
        await eventually(lambda: model.ended_early == 1)
        model.let(5)
        await editor.send("again")
        await client.until(lambda: "two" in editor.text and editor.answered)


async def test_what_goes_wrong_stands_in_the_document_too(codeface_home: Path, tmp_path: Path) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        editor = Editor(client)
        await editor.run("codeface.chat", "look at @none.py")
        (message,) = await client.until(lambda: messages(client))
        await client.until(lambda: editor.answered)
        assert message == "There is no file `none.py` in this workspace."
        assert f"## CodeFace\n\n_{message}_\n\n## You" in editor.text


async def test_an_editor_that_takes_nothing_is_told_where_the_answer_is(
    codeface_home: Path, tmp_path: Path
) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        editor = Editor(client)
        editor.refuses = True
        await editor.run("codeface.chat", "one")
        (message,) = await client.until(lambda: messages(client))
        assert "`codeface chat --show last`" in message
        (kept,) = await conversations(client)
        assert kept["turns"] == 2


async def test_a_second_message_waits_for_the_answer_that_streams(
    codeface_home: Path, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda messages: ["one ", "two"], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        await answer_begins(editor, model)
        editor.type_at_end("\n\n## You\n\nfaster")
        await editor.run((await editor.actions())["send"])
        (message,) = await client.until(lambda: messages(client))
        assert message.startswith("An answer is streaming into this document already;")
        model.let(1)
        await client.until(lambda: "one two\n\n## You\n" in editor.text)
        assert len(model.asked) == 1 and editor.text.endswith("faster")


async def test_an_editor_that_does_not_open_the_document_is_told_what_to_do(
    codeface_home: Path, tmp_path: Path
) -> None:
    patched = "chat_document._OPEN_S = 1; server.serve_stdio()"
    impatient = f"from codeface_lsp import server; from codeface_lsp.lsp import chat_document; {patched}"
    command = [sys.executable, "-c", impatient]
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path, command=command) as client:
        client.on_request["window/showDocument"] = lambda _: NO_ANSWER
        await client.request("workspace/executeCommand", {"command": "codeface.chat", "arguments": ["hello"]})
        (message,) = await client.until(lambda: messages(client))
        assert message == "The editor did not open the chat document; open it and use “CodeFace: send”."


async def test_lessons_and_searches_are_chat_documents(codeface_home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text(CODE)
    uri = (project / "a.py").as_uri()
    model = ScriptedModel()
    async with scripted_server(codeface_home, model, project, index=True) as client:
        editor = Editor(client)
        editor.open(uri, CODE)
        await editor.run("codeface.lesson", {"uri": uri, "range": span(0, 2), "instruction": "geometry"})
        await client.until(lambda: editor.answered)
        assert "## You\n\n/lesson geometry\n\n## CodeFace\n\nHello there." in editor.text
        assert "with the focus on geometry" in model.asked[-1][1]["content"]
        await editor.run("codeface.search", "where is the area computed?")
        await client.until(lambda: len(model.asked) == 2 and editor.answered)
        assert "`a.py:1-2`" in model.asked[-1][1]["content"] and "_Looked at `a.py:1-2`" in editor.text


async def test_a_block_of_the_answer_goes_to_the_file(codeface_home: Path, tmp_path: Path, uri: str) -> None:
    better = "def area(r):\n    return 3.1416 * r * r\n"
    model = ScriptedModel(lambda messages: [f"Use this:\n\n```python\n{better}```\n\nIt is better."])
    async with scripted_server(codeface_home, model, tmp_path) as client:
        editor = Editor(client)
        editor.open(uri, CODE)
        await editor.run("codeface.chat", {"uri": uri, "range": span(0, 2), "message": "more digits"})
        await client.until(lambda: editor.answered)
        assert list(await editor.actions("Use this")) == []

        offered = await editor.actions("3.1416")
        assert list(offered) == [
            "apply this block to the file",
            "insert this block at the cursor",
            "select this block for copying",
        ]
        await editor.run(offered["select this block for copying"])
        await client.until(lambda: "selection" in editor.shown[-1])
        chosen = editor.shown[-1]["selection"]
        lines = editor.text.split("\n")[chosen["start"]["line"] : chosen["end"]["line"]]
        assert "\n".join(lines) + "\n" == better

        await editor.run(offered["apply this block to the file"])
        await client.until(lambda: editor.texts[uri] == CODE.replace("3.14 ", "3.1416 "))
        await editor.run((await editor.actions("3.1416"))["insert this block at the cursor"])
        await client.until(lambda: editor.texts[uri].count("def area") == 2)


async def test_a_panel_s_block_goes_to_the_file_or_is_refused(
    codeface_home: Path, tmp_path: Path, uri: str
) -> None:
    async with scripted_server(codeface_home, ScriptedModel(), tmp_path) as client:
        editor = Editor(client)
        editor.open(uri, CODE)
        place = {"textDocument": {"uri": uri}, "range": span(0, 2)}
        block = {"code": "def area(r):\n    return 3 * r * r\n", "mode": "apply"}
        assert await client.request("codeface/chat.apply", {**place, **block}) == {"applied": True}
        assert editor.texts[uri] == CODE.replace("3.14 ", "3 ")
        with pytest.raises(ServerError, match="does not parse"):
            await client.request("codeface/chat.apply", {**place, "code": "def area(r):\n    return (\n"})
        with pytest.raises(ServerError, match="The mode is `apply` or `insert`"):
            await client.request("codeface/chat.apply", {**place, **block, "mode": "throw"})
