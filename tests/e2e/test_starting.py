"""Other ways to start the server, what its debug switch shows, and settings that change while it runs."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

from tests.http_servers import eventually
from tests.lsp_client import language_server

QUIET = {"CODEFACE_ENGINE__AUTOSTART": "false", "CODEFACE_CONTEXT__INDEX": "false"}
URI = "file:///project/main.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: dict[str, Any]
) -> Any:
    """Send a request; return its answer, skipping what the server says by itself."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    while "id" in message:
        header = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
        length = int(header.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        if answer.get("id") == message["id"] and "method" not in answer:
            return answer
    return None


async def test_the_server_listens_on_tcp(codeface_home: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "codeface_lsp", "lsp", "--tcp", f"127.0.0.1:{port}"]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | QUIET)
    try:
        reader, writer = await connect(port)
        params = {"processId": None, "rootUri": None, "capabilities": {}}
        answer = await exchange(reader, writer, {"id": 1, "method": "initialize", "params": params})
        assert answer["result"]["serverInfo"]["name"] == "codeface"
        assert (await exchange(reader, writer, {"id": 2, "method": "shutdown"}))["result"] is None
        await exchange(reader, writer, {"method": "exit"})
        assert await asyncio.wait_for(process.wait(), 30) == 0
        writer.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_port_in_use_is_told_in_one_sentence(codeface_home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "codeface_lsp", "lsp", "--tcp", address]
        process = await asyncio.create_subprocess_exec(
            *command, env=os.environ | QUIET, stderr=asyncio.subprocess.PIPE
        )
        _, stderr = await asyncio.wait_for(process.communicate(), 60)
    last = " ".join(stderr.decode().split("codeface: ")[-1].split())
    assert process.returncode == 1
    assert last.startswith(f"Cannot listen on {address}")
    assert "Traceback" not in stderr.decode()


async def test_the_debug_switch_shows_requests_with_timings_and_never_text(
    codeface_home: Path, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    environ = QUIET | {"CODEFACE_LOG__REQUESTS": "true", "CODEFACE_LOG__LEVEL": "debug"}
    marker = "the_users_own_name_93"
    async with language_server(codeface_home, environ=environ, log=log) as client:
        await client.initialize()
        client.open(URI, f"def {marker}():\n    return ")
        client.change(URI, 2, (1, 11), (1, 11), marker)
        position = {"textDocument": {"uri": URI}, "position": {"line": 1, "character": 14}}
        await client.request("codeface/context", position)
        client.send(
            {"jsonrpc": "2.0", "id": 900, "method": "textDocument/completion", "params": {marker: marker}}
        )
        await client.until(lambda: client.stray)
        client.stray.clear()
        await client.shutdown()
    written = log.read_text()
    assert "codeface/context: ok in" in written
    assert "textDocument/completion: refused in" in written
    assert marker not in written


async def test_the_settings_file_is_read_again_when_it_changes(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=QUIET) as client:
        await client.initialize()
        await client.request("codeface/status", {})
        file = codeface_home / "config.yaml"
        shown = client.notifications["window/showMessage"]
        async with asyncio.timeout(60):
            while not shown:  # until the watcher has begun
                file.write_text("engine:\n  devise: cpu\n")
                await asyncio.sleep(0.3)
        assert "engine.device" in shown[0]["message"]
        file.write_text("completion:\n  enabled: false\n")
        assert await client.shutdown() == 0


MOCK = {"CODEFACE_ENGINE__MOCK": "true", "CODEFACE_CONTEXT__INDEX": "false"}


def starts(home: Path) -> int:
    """How many engines have listened in this home."""
    log = home / "logs" / "engine.log"
    return log.read_text().count("listens on port") if log.exists() else 0


async def test_one_engine_starts_with_initialize_and_serves_the_window(codeface_home: Path) -> None:
    async with language_server(codeface_home, environ=MOCK) as client:
        params = {"processId": None, "rootUri": None, "capabilities": {}}
        await client.request("initialize", params)
        await eventually(lambda: starts(codeface_home) == 1)
        client.notify("initialized", {})
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(lambda: [state for state in states if state["state"] == "ready"])
        assert starts(codeface_home) == 1
        assert not list((codeface_home / "logs").glob("engine-start-*"))
        assert await client.shutdown() == 0


async def test_without_autostart_the_first_request_starts_the_engine(codeface_home: Path) -> None:
    async with language_server(
        codeface_home, environ=MOCK | {"CODEFACE_ENGINE__AUTOSTART": "false"}
    ) as client:
        await client.initialize()
        states = client.notifications["codeface/didChangeStatus"]
        await client.until(lambda: states)
        assert (states[0]["kind"], states[0]["message"]) == ("Normal", "The first request starts the engine.")
        assert starts(codeface_home) == 0
        client.open(URI, "def area(radius):\n    return ")
        await client.inline(URI, 1, 11)
        await client.until(lambda: states[-1]["state"] == "ready" and "message" not in states[-1])
        assert starts(codeface_home) == 1
        assert await client.shutdown() == 0
