"""The engine as a process: one per user, found by every window, safe on its port, replaced when it dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path

import httpx2
import psutil
import pytest

from codeface_lsp import runtime, settings
from codeface_lsp.context.parts import Parts
from codeface_lsp.endpoints.router import Router, open_endpoint
from codeface_lsp.endpoints.types import ChatRequest, EngineEvent, InfillRequest, Message
from codeface_lsp.errors import EndpointError, EndpointUnreachable
from codeface_lsp.runtime import Runtime
from tests.http_servers import eventually

INFILL = InfillRequest(
    Parts(path="a.py", language="python", prefix="def f(x):", line_suffix="", suffix="\n"), max_tokens=64
)
LONG_CHAT = ChatRequest([Message("user", "word " * 400)], max_tokens=2000)


@pytest.fixture(autouse=True)
def mock_engine(codeface_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Engines started here serve the scripted model, which needs no torch; none outlives its test."""
    monkeypatch.setenv("CODEFACE_ENGINE__MOCK", "true")
    yield
    found = runtime.read()
    if found is not None and runtime.held():
        os.kill(found.pid, signal.SIGKILL)


@pytest.fixture
async def endpoint() -> AsyncGenerator[Router]:
    router = open_endpoint(settings.load())
    yield router
    await router.aclose()


async def text_of(router: Router, request: InfillRequest) -> str:
    return "".join([chunk.text async for chunk in router.infill(request)])


def running() -> Runtime:
    found = runtime.read()
    assert found is not None
    return found


def engines() -> list[int]:
    """Engine processes of this test's home, those that are about to find another one running included."""
    found: list[int] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (
                "codeface_lsp.serving" in process.cmdline()
                and process.environ()["CODEFACE_HOME"] == os.environ["CODEFACE_HOME"]
            ):
                found.append(process.pid)
    return found


def gone(pid: int) -> bool:
    return subprocess.run(["ps", "-p", str(pid), "-o", "stat="], capture_output=True, text=True).stdout[
        :1
    ] in ("", "Z")


async def test_the_first_request_starts_the_engine(endpoint: Router) -> None:
    assert runtime.read() is None
    assert "return mock()" in await text_of(endpoint, INFILL)
    assert stat.S_IMODE(runtime.runtime_file().stat().st_mode) == 0o600
    assert runtime.held()


async def test_attaching_starts_the_engine_and_tells_what_it_does(endpoint: Router) -> None:
    states: list[EngineEvent] = []
    async with aclosing(endpoint.attach()) as events:
        async for event in events:
            states.append(event)
            if event.state == "ready":
                break
    assert states[0].state == "starting"
    assert states[-1].model == "mock"


async def test_three_windows_that_open_at_once_share_one_engine() -> None:
    script = (
        "import asyncio, sys\n"
        "from codeface_lsp import settings\n"
        "from codeface_lsp.endpoints.router import open_endpoint\n"
        "async def main():\n"
        "    router = open_endpoint(settings.load())\n"
        "    async for event in router.attach():\n"
        "        if event.state in ('ready', 'error'):\n"
        "            break\n"
        "    server = await router.engine.engine()\n"
        "    print((await server.health())['pid'], event.state)\n"
        "asyncio.run(main())\n"
    )
    windows = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    answers = {(await window.communicate())[0].decode().strip() for window in windows}
    assert answers == {f"{running().pid} ready"}
    await eventually(lambda: engines() == [running().pid])


async def test_a_restart_never_finds_the_engine_that_is_about_to_end(endpoint: Router) -> None:
    await text_of(endpoint, INFILL)
    for _ in range(4):
        before = running().pid
        await endpoint.restart_engine()
        assert running().pid != before
        assert "return mock()" in await text_of(endpoint, INFILL)


async def test_a_second_engine_leaves_the_first_alone(endpoint: Router) -> None:
    await text_of(endpoint, INFILL)
    before = running()
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "codeface_lsp.serving", stderr=asyncio.subprocess.PIPE
    )
    _, said = await second.communicate()
    assert second.returncode == 0
    assert b"runs already" in said
    assert running() == before


async def test_an_engine_killed_while_it_answers_gives_an_error_and_the_next_request_a_new_engine(
    endpoint: Router,
) -> None:
    chunks = endpoint.chat(LONG_CHAT)
    while not (await anext(chunks)).says_something:
        pass
    first = running().pid
    os.kill(first, signal.SIGKILL)
    with pytest.raises(EndpointUnreachable, match="the next request starts a new one"):
        async for _ in chunks:
            pass
    assert "return mock()" in await text_of(endpoint, INFILL)
    assert running().pid != first


async def test_an_engine_that_died_between_requests_is_replaced_without_an_error(endpoint: Router) -> None:
    await text_of(endpoint, INFILL)
    first = running().pid
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not runtime.held())
    assert "return mock()" in await text_of(endpoint, INFILL)
    assert running().pid != first


async def test_a_stale_runtime_file_is_not_believed(endpoint: Router) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        runtime.write(Runtime(os.getpid(), other.getsockname()[1], "old", runtime.own_version()))
        assert "return mock()" in await text_of(endpoint, INFILL)
    assert running().pid != os.getpid()


async def test_attached_windows_hear_that_the_engine_stopped_and_that_it_is_back(endpoint: Router) -> None:
    states: list[str] = []

    async def follow() -> None:
        async with aclosing(endpoint.attach()) as events:
            async for event in events:
                states.append(event.state)  # noqa: PERF401 (read while it grows)

    window = asyncio.create_task(follow())
    await eventually(lambda: "ready" in states)
    os.kill(running().pid, signal.SIGKILL)
    await eventually(lambda: states[-1] == "stopped")
    await text_of(endpoint, INFILL)
    await eventually(lambda: states[-1] == "ready")
    window.cancel()
    await asyncio.gather(window, return_exceptions=True)


async def test_the_engine_stops_when_the_last_window_has_been_gone_for_long(
    endpoint: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__IDLE_STOP_MINUTES", str(1.0 / 60))
    attached = endpoint.attach()
    async for event in attached:
        if event.state == "ready":
            break
    pid = running().pid
    await asyncio.sleep(2.5)
    assert not gone(pid), "it stopped although a window was attached"
    await attached.aclose()
    await eventually(lambda: not runtime.held())
    assert runtime.read() is None


async def test_an_engine_of_another_version_is_replaced_if_nobody_uses_it(
    endpoint: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    await text_of(endpoint, INFILL)
    first = running().pid
    monkeypatch.setattr(runtime, "own_version", lambda: "99.0")
    upgraded = open_endpoint(settings.load())
    # The interpreter that starts it still has the old version, which is a mistake of its own, with words of its own.
    with pytest.raises(
        EndpointError, match=r"engine's Python has CodeFace .*, this is 99\.0: install the same"
    ):
        await text_of(upgraded, INFILL)
    await upgraded.aclose()
    assert gone(first)


async def test_an_engine_of_another_version_that_others_use_is_named(
    endpoint: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    attached = endpoint.attach()
    async for event in attached:
        if event.state == "ready":
            break
    monkeypatch.setattr(runtime, "own_version", lambda: "99.0")
    upgraded = open_endpoint(settings.load())
    with pytest.raises(EndpointError, match=r"is CodeFace .*, this is 99\.0: close the other windows"):
        await text_of(upgraded, INFILL)
    await upgraded.aclose()
    await attached.aclose()


async def test_a_port_in_use_is_one_sentence(endpoint: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("CODEFACE_ENGINE__PORT", str(port))
        with pytest.raises(EndpointUnreachable, match=f"^Port {port} is in use; set `engine.port`"):
            await text_of(endpoint, INFILL)


async def test_broken_settings_of_the_user_are_told_by_the_engine_s_start(
    endpoint: Router, codeface_home: Path
) -> None:
    codeface_home.mkdir(parents=True, exist_ok=True)
    (codeface_home / "config.yaml").write_text("engine: {treads: 2}\n")
    with pytest.raises(
        EndpointUnreachable, match=r"Unknown setting `engine\.treads`: did you mean `engine\.threads`"
    ):
        await text_of(endpoint, INFILL)


async def test_no_proxy_ever_sees_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.settimeout(0.2)

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = proxy.accept()
                except TimeoutError:
                    continue
                heard.append(connection.recv(1000))
                connection.close()

        over = threading.Event()
        thread = threading.Thread(target=accept)
        thread.start()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        router = open_endpoint(settings.load())
        try:
            assert "return mock()" in await text_of(router, INFILL)
            async with httpx2.AsyncClient() as naive:  # shows that the trap is set
                with pytest.raises(httpx2.HTTPError):
                    await naive.get(running().url + "/health")
        finally:
            await router.aclose()
            over.set()
            thread.join()
    assert len(heard) == 1
    assert b"/health" in heard[0]


async def test_without_a_local_installation_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CODEFACE_ENGINE__MOCK")
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    blocker = (
        "import importlib.util as util, runpy; find = util.find_spec;"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest);"
        "runpy.run_module('codeface_lsp.serving', run_name='__main__')"
    )
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{blocker}"\n')
    bare.chmod(0o755)
    monkeypatch.setenv("CODEFACE_ENGINE__PYTHON", str(bare))
    router = open_endpoint(settings.load())
    with pytest.raises(EndpointUnreachable, match=r"needs torch, .* -m pip install 'codeface-lsp\[local\]'"):
        await text_of(router, INFILL)
    await router.aclose()


async def test_an_interpreter_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEFACE_ENGINE__PYTHON", "/no/such/python")
    router = open_endpoint(settings.load())
    with pytest.raises(EndpointUnreachable, match=r"/no/such/python of `engine\.python` does not exist"):
        await text_of(router, INFILL)
    await router.aclose()


def codeface(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from codeface_lsp.cli.engine import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )


def test_the_command_line_starts_shows_and_stops_it() -> None:
    assert codeface("status").returncode == 1
    assert json.loads(codeface("status", "--json").stdout) == {"running": False, "models": []}
    assert codeface("start").returncode == 0
    report = json.loads(codeface("status", "--json").stdout)
    found = running()
    assert (report["pid"], report["port"], report["token"]) == (found.pid, found.port, found.token)
    assert [model["name"] for model in report["models"]] == ["mock"]
    assert "has stopped" in codeface("stop").stdout
    assert not runtime.held()
    assert "does not run" in codeface("stop").stdout


def test_a_hung_engine_is_stopped_too() -> None:
    assert codeface("start").returncode == 0
    pid = running().pid
    os.kill(pid, signal.SIGSTOP)
    assert "has stopped" in codeface("stop").stdout
    assert gone(pid)
