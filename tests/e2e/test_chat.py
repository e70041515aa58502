"""Explain and chat through the real server: streamed, cancelled, kept, in a panel and in a document."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.http_servers import eventually
from tests.lsp_client import LspClient, ServerError, language_server

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


@pytest.mark.parametrize("method", ["codeface/chat", "codeface/explain"])
async def test_an_answer_can_be_cancelled_at_each_stage(
    method: str, codeface_home: Path, tmp_path: Path
) -> None:
    """While the model reads, at its first word and later; by the request, and by its progress."""
    model = ScriptedModel(lambda messages: ["one ", "two ", "three"], held=True)
    async with scripted_server(codeface_home, model, tmp_path) as client:
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        about = {"textDocument": {"uri": uri}, "range": span(0, 2), "message": "count"}
        for number, (by_request, pieces) in enumerate(itertools.product((True, False), (0, 1, 2)), 1):
            work, partial, sent = f"w{number}", f"p{number}", len(model.sent_at)
            tokens = {"partialResultToken": partial, "workDoneToken": work}
            request_id, answer = client.start(method, about | tokens)
            await eventually(lambda number=number: len(model.asked) == number)
            model.let(pieces)
            await client.until(lambda p=partial, n=pieces: len(deltas(client, p)) == n)
            if by_request:
                client.cancel(request_id)
            else:
                client.notify("window/workDoneProgress/cancel", {"token": work})
            with pytest.raises(ServerError) as error:
                await asyncio.wait_for(answer, 30)
            assert error.value.code == -32800
            await eventually(lambda number=number: model.ended_early == number)
            assert len(model.sent_at) == sent + pieces, "no further piece was generated"
            steps = [p["value"]["kind"] for p in client.notifications["$/progress"] if p["token"] == work]
            assert steps == ["begin", "end"]
        kept = (await client.request("codeface/chat.list", {}))["conversations"]
        assert len(kept) == (4 if method == "codeface/chat" else 0), "what had begun is kept"
        model.let(9)
        assert (await client.request(method, about))["finishReason"] == "stop"


async def test_a_chat_is_told_the_diagnostics_of_its_place(codeface_home: Path, tmp_path: Path) -> None:
    model = ScriptedModel()
    async with scripted_server(codeface_home, model, tmp_path) as client:
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        related = [{"message": "defined here", "location": {"uri": uri, "range": span(0, 0)}}]
        problem = {"range": span(1, 2), "message": "bad\nvalue", "source": "mypy", "code": 7}
        beyond = {"range": span(900, 901), "message": "outside of the document"}
        about = {"textDocument": {"uri": uri}, "range": span(0, 2)}
        about["diagnostics"] = [problem | {"relatedInformation": related}, beyond]
        await client.request("codeface/chat", {"message": "why @diagnostics?", **about})
        told = model.asked[-1][-1]["content"]
        assert "line 2: [mypy 7] bad value (defined here)" in told
        assert "line 7: outside of the document" in told, "clipped to the last line"


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


async def test_the_bundled_model_is_known_not_to_chat_before_any_engine_runs(
    codeface_home: Path, tmp_path: Path
) -> None:
    """Its files tell: the sentence comes at once, once, and no engine is started for it."""
    async with language_server(codeface_home, environ={"CODEFACE_ENGINE__AUTOSTART": "false"}) as client:
        await client.initialize(tmp_path)
        uri = (tmp_path / "a.py").as_uri()
        client.open(uri, CODE)
        about = {"textDocument": {"uri": uri}, "range": span(0, 2)}
        explained = (await client.request("codeface/explain", about))["markdown"]
        assert "`codeface models default" in explained and "def area(r):" in explained
        told = await client.request("codeface/chat", {"message": "what is this?", **about})
        assert "codeface models" not in told["reply"] and "def area(r):" in told["reply"]
        arguments = [{"uri": uri, "range": span(0, 2)}]
        await client.request(
            "workspace/executeCommand", {"command": "codeface.simplify", "arguments": arguments}
        )
        (shown,) = await client.until(lambda: client.notifications["window/showMessage"])
        assert "was trained to complete code, not to chat" in shown["message"]
        assert not list((codeface_home / "run").glob("engine-*"))
