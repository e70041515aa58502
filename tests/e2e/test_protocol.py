"""The base protocol over stdio: every request gets exactly one answer, and the server lives on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.scripted_chat import ScriptedModel, scripted_server
from tests.lsp_client import LspClient, ServerError, language_server

ENVIRON = {"CODEFACE_ENGINE__AUTOSTART": "false", "CODEFACE_CONTEXT__INDEX": "false"}
URI = "file:///project/main.py"


async def error_of(client: LspClient, method: str, params: object) -> ServerError:
    with pytest.raises(ServerError) as refused:
        await client.request(method, params)
    return refused.value


async def test_initialize_shutdown_exit_leaves_with_status_0(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        result = await client.initialize()
        assert result["serverInfo"]["name"] == "codeface"
        capabilities = result["capabilities"]
        assert capabilities["inlineCompletionProvider"] is not None
        assert capabilities["positionEncoding"] == "utf-16"
        assert "codeface.explain" in capabilities["executeCommandProvider"]["commands"]
        assert await client.shutdown() == 0


async def test_exit_without_shutdown_leaves_with_status_1(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        client.notify("exit")
        assert await client.exit_status() == 1


async def test_a_closed_stdin_ends_the_server(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert await client.exit_status() == 1


async def test_requests_before_initialize_are_refused(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        client.open(URI, "x")  # a notification: dropped
        assert (await error_of(client, "textDocument/completion", {})).code == -32002
        await client.initialize()
        assert (
            await error_of(client, "initialize", {"capabilities": {}, "processId": None, "rootUri": None})
        ).code == -32600


async def test_requests_after_shutdown_are_refused(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        await client.request("shutdown")
        assert (await error_of(client, "shutdown", None)).code == -32600
        assert (await error_of(client, "codeface/status", {})).code == -32600
        client.notify("exit")
        assert await client.exit_status() == 0


async def test_malformed_messages_are_answered_and_the_server_lives_on(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        position = {"textDocument": {"uri": URI}, "position": {"line": "three"}}
        assert (await error_of(client, "textDocument/completion", position)).code == -32602
        assert (await error_of(client, "textDocument/inlineCompletion", None)).code == -32602
        assert (await error_of(client, "codeface/explain", {"textDocument": 5})).code == -32602
        assert (await error_of(client, "codeface/noSuchThing", {})).code == -32601
        assert (
            await error_of(client, "workspace/executeCommand", {"command": "codeface.none"})
        ).code == -32602

        client.send_bytes(b"{not json")
        client.send_bytes(b'"\xff\xfe"')
        client.send({"id": 77, "method": "codeface/status"})
        client.notify("textDocument/didChange", {"textDocument": {}})
        client.notify("codeface/noSuchNotification", {})
        await client.until(lambda: len(client.stray) == 3)
        codes = [message["error"]["code"] for message in client.stray]
        ids = [message["id"] for message in client.stray]
        assert (codes, ids) == ([-32700, -32700, -32600], [None, None, 77])
        client.stray.clear()
        assert (await client.request("codeface/status", {}))["kind"] == "Normal"
        assert await client.shutdown() == 0


async def test_changes_of_unknown_documents_are_ignored(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize()
        client.change(URI, 2, (0, 0), (0, 0), "x")
        client.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
        client.notify("textDocument/didSave", {"textDocument": {"uri": URI}})
        assert (await client.request("codeface/status", {}))["kind"] == "Normal"
        assert "window/showMessage" not in client.notifications


async def test_a_cancelled_request_is_answered_once_with_its_code(codeface_home: Path) -> None:
    async with scripted_server(codeface_home, ScriptedModel(held=True)) as client:
        client.open(URI, "def f():\n    return 1\n")
        span = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 9}}
        request_id, answer = client.start("codeface/explain", {"textDocument": {"uri": URI}, "range": span})
        client.cancel(request_id)
        client.cancel(request_id)
        client.cancel("an id that never was")
        with pytest.raises(ServerError) as cancelled:
            await asyncio.wait_for(answer, 30)
        assert cancelled.value.code == -32800
        assert await client.shutdown() == 0


async def test_wrong_settings_are_told_in_one_sentence_and_the_defaults_hold(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        await client.initialize(options={"engine": {"devise": "cpu"}})
        shown = await client.until(lambda: client.notifications["window/showMessage"])
        assert "engine.devise" in shown[0]["message"]
        assert "engine.device" in shown[0]["message"]
        assert (await client.request("codeface/status", {}))["kind"] in ("Normal", "Error")


async def test_a_repository_cannot_choose_what_runs(codeface_home: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it-ran"
    hostile = {
        "engine": {"command": ["touch", str(marker)], "python": "/bin/false"},
        "completion": {"multiline": "never"},
    }
    async with language_server(codeface_home, environ=ENVIRON) as client:
        client.on_request["workspace/configuration"] = lambda params: [hostile for _ in params["items"]]
        await client.initialize(tmp_path, workspace={"configuration": True})
        await client.until(lambda: any(r["method"] == "workspace/configuration" for r in client.requests))
        await client.request("codeface/status", {})
        assert not marker.exists()
        assert await client.shutdown() == 0


@pytest.mark.parametrize("encodings", [["utf-8", "utf-16"], ["utf-32"], []])
async def test_the_first_encoding_that_the_client_offers_wins(
    codeface_home: Path, encodings: list[str]
) -> None:
    async with language_server(codeface_home, environ=ENVIRON) as client:
        result = await client.initialize(general={"positionEncodings": encodings} if encodings else {})
        assert result["capabilities"]["positionEncoding"] == (encodings[0] if encodings else "utf-16")
        text = "s = '😀'; t = s\n"
        client.open(URI, text)
        width = {"utf-8": 4, "utf-16": 2, "utf-32": 1}[result["capabilities"]["positionEncoding"]]
        client.change(URI, 2, (0, 4 + 1 + width), (0, 4 + 1 + width), "!")
        seen = await client.request(
            "codeface/context", {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 99}}
        )
        assert seen["prefix"] == "s = '😀!'; t = s"
