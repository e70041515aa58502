"""The process's own beginnings: its socket and its lock."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from codeface_lsp import runtime
from codeface_lsp.errors import EngineError
from codeface_lsp.runtime import Runtime
from codeface_lsp.serving import main
from codeface_lsp.serving.core import Control
from codeface_lsp.settings import Settings


def test_the_socket_is_bound_to_loopback_with_its_protocol_named() -> None:
    with main.listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        # asyncio sets TCP_NODELAY only then; without it every event of a stream waits 40 ms for an acknowledgement.
        assert listener.proto == socket.IPPROTO_TCP


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    with main.listen(0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(EngineError, match=f"Port {port} is in use; set `engine.port` to another one"):
            main.listen(port)


def test_a_second_engine_ends_at_once_and_without_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with runtime.lock():
        assert main.run(Settings()) == main.EXIT_OK
    assert "runs already" in capsys.readouterr().err


async def test_an_engine_that_nobody_can_find_any_more_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "_LOOK_S", 0.05)
    control = Control(Settings())
    runtime.write(Runtime(os.getpid(), 1, "token", "1"))
    stopped = asyncio.Event()
    watching = asyncio.create_task(main._stop_when_idle(control, 3600, stopped.set))
    await asyncio.sleep(0.3)
    assert not stopped.is_set()
    runtime.runtime_file().unlink()
    async with asyncio.timeout(10):
        await stopped.wait()
    await watching
