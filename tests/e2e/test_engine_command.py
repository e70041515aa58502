"""A server command of the user's in the engine's place: one for all windows, on loopback, with a random key."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import httpx2
import pytest

from codeface_lsp import runtime, settings
from codeface_lsp.context.parts import Parts
from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.endpoints.types import InfillRequest
from codeface_lsp.errors import EndpointUnreachable
from tests.http_servers import eventually

SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
asked = 0
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, status, body, kind="application/json"):
        raw = body.encode()
        self.send_response(status); self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def do_GET(self):
        global asked
        if self.headers.get("Authorization") != "Bearer " + os.environ["LLAMA_API_KEY"]:
            return self.answer(401, "{}")
        asked += 1
        if self.path == "/health":
            return self.answer(503 if asked < 3 else 200, "{}")
        if self.path == "/props":
            return self.answer(200, json.dumps({"default_generation_settings": {}}))
        self.answer(404, "{}")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        last = {"content": str(os.getpid()), "stop": True, "stop_type": "eos"}
        self.answer(200, "data: " + json.dumps(last) + "\\n\\n", "text/event-stream")
ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""
REQUEST = InfillRequest(Parts("a.py", "python", "x", "", ""), max_tokens=8)


@pytest.fixture(autouse=True)
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    set_command(monkeypatch, [sys.executable, str(script), "{host}", "{port}"])
    yield
    found = runtime.read()
    if found is not None and runtime.held():
        os.kill(found.pid, signal.SIGKILL)


def set_command(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__COMMAND", json.dumps(command))


@pytest.fixture
async def windows() -> AsyncGenerator[list[Router]]:
    made = [open_endpoint(settings.load()) for _ in range(2)]
    yield made
    for router in made:
        await router.aclose()


async def answer(router: Router) -> str:
    return "".join([chunk.text async for chunk in router.infill(REQUEST)])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


async def test_windows_share_one_server_which_ends_with_the_engine(windows: list[Router]) -> None:
    pids = {await answer(router) for router in windows}
    assert len(pids) == 1
    pid = int(pids.pop())
    found = runtime.read()
    assert found is not None
    assert pid != found.pid
    async with httpx2.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {found.token}"}
        told = (await client.get(found.url + "/health", headers=headers)).json()["server"]
        assert len(told["key"]) > 30
        assert (await client.get(told["url"] + "/health")).status_code == 401
        await client.post(found.url + "/codeface/stop", json={}, headers=headers)
    await eventually(lambda: not alive(pid))


async def test_a_server_that_died_is_started_again_with_the_next_request(windows: list[Router]) -> None:
    first = int(await answer(windows[0]))
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not runtime.held())
    assert int(await answer(windows[0])) != first


@pytest.mark.skipif(sys.platform != "linux", reason="dying with the parent is Linux's")
async def test_the_server_dies_with_an_engine_that_is_killed(windows: list[Router]) -> None:
    pid = int(await answer(windows[0]))
    found = runtime.read()
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    await eventually(lambda: not alive(pid))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/no/such/server"], r"`/no/such/server` \(engine\.command\) cannot be started"),
        (["false"], r"`false` \(engine\.command\) ended with status 1; see .*engine-command\.log"),
    ],
)
async def test_a_command_that_fails_says_so(
    monkeypatch: pytest.MonkeyPatch, command: list[str], words: str
) -> None:
    set_command(monkeypatch, command)
    router = open_endpoint(settings.load())
    with pytest.raises(EndpointUnreachable, match=words):
        await answer(router)
    await router.aclose()
