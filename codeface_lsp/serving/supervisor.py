"""Runs somebody else's model server (`engine.command`) in the engine's place.

Ownership, attaching and idle stop are the engine's own: one server per user, shared by every window. The windows find
the server's address and key in `/health` and then talk to it themselves.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from codeface_lsp import paths
from codeface_lsp.errors import CodeFaceError, EngineError
from codeface_lsp.serving import attach
from codeface_lsp.serving.core import Control
from codeface_lsp.serving.failures import answer_error
from codeface_lsp.serving.guard import Guard
from codeface_lsp.serving.hub import Status
from codeface_lsp.serving.watcher import Watcher
from codeface_lsp.settings import Settings

_log = logging.getLogger(__name__)

_POLL_S = 0.2
_GRACE_S = 5.0
_LINGER_S = 2.0
_READY_PATHS = ("/health", "/v1/models", "/api/version")
"""The first that is not an unknown route tells whether the server is ready."""


class Supervisor(Control):
    """Owns the child process."""

    def __init__(self, settings: Settings, stop: Callable[[], None]) -> None:
        """`stop` ends this process; called when the child has ended."""
        super().__init__(settings)
        self.stop = stop
        self.port = free_port()
        self.key = secrets.token_urlsafe(32)
        self._process: asyncio.subprocess.Process | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def server(self) -> dict[str, str]:
        """Address and key of the child, as `/health` tells them."""
        return {"url": f"http://127.0.0.1:{self.port}", "key": self.key}

    def start(self) -> None:
        """Begin to start the child; returns at once."""
        self._work = asyncio.create_task(self._run())

    async def _run(self) -> None:
        command = [fill(part, self.port, self.key) for part in self.settings.engine.command]
        self.hub.publish(Status("starting", f"{command[0]} starts."))
        log_file = paths.log_dir() / "engine-command.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self._live(command, log_file)
        except OSError as error:
            self._failed(
                f"`{command[0]}` (engine.command) cannot be started: {error.strerror}; correct the setting."
            )
        # Whoever waits for the server reads why it failed; the next request starts everything anew.
        await asyncio.sleep(_LINGER_S)
        self.stop()

    async def _live(self, command: list[str], log_file: Path) -> None:
        with log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environment(self.port, self.key),
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        ready = asyncio.create_task(self._wait_until_ready(command[0]))
        try:
            status = await self._process.wait()
        finally:
            ready.cancel()
        self._failed(f"`{command[0]}` (engine.command) ended with status {status}; see {log_file}.")

    def _failed(self, said: str) -> None:
        _log.error("%s", said)
        self.hub.publish(Status("error", said))

    async def _wait_until_ready(self, name: str) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with httpx2.AsyncClient(
            base_url=self.server["url"], headers=headers, trust_env=False
        ) as client:
            while not await _answers(client):  # noqa: ASYNC110 (another process is waited for)
                await asyncio.sleep(_POLL_S)
        self.hub.publish(Status("ready", model=name))

    async def aclose(self) -> None:
        """Stop the child: politely, then not."""
        if self._work is not None:
            self._work.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
            except TimeoutError:
                process.kill()


def create_supervisor_app(supervisor: Supervisor, token: str) -> ASGIApp:
    """Return the API of a supervised server: its life, not its models."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        supervisor.start()
        try:
            yield
        finally:
            await supervisor.aclose()

    app = Starlette(
        routes=[
            Route("/health", attach.health),
            Route("/codeface/attach", attach.attach),
            Route("/codeface/stop", attach.stop, methods=["POST"]),
        ],
        lifespan=lifespan,
        exception_handlers={CodeFaceError: answer_error, HTTPException: answer_error},
    )
    app.state.core = supervisor
    app.state.stop = supervisor.stop
    return Guard(Watcher(app, log_requests=supervisor.settings.log.requests), token)


def fill(part: str, port: int, key: str) -> str:
    """Put port, key and host into a part of the command."""
    return part.replace("{port}", str(port)).replace("{key}", key).replace("{host}", "127.0.0.1")


def environment(port: int, key: str) -> dict[str, str]:
    """What llama-server and vLLM read where the command does not say it: never an open port without a key."""
    return {
        "LLAMA_ARG_HOST": "127.0.0.1",
        "LLAMA_ARG_PORT": str(port),
        "LLAMA_API_KEY": key,
        "VLLM_API_KEY": key,
        "OLLAMA_HOST": f"127.0.0.1:{port}",
    }


def free_port() -> int:
    """Return a port that nobody listens on now. Raises `EngineError` if there is none."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 0))
        except OSError as error:
            raise EngineError("This machine has no free port.", kind="port_in_use") from error
        return int(probe.getsockname()[1])


async def _answers(client: httpx2.AsyncClient) -> bool:
    for path in _READY_PATHS:
        try:
            answer = await client.get(path, timeout=5)
        except httpx2.HTTPError:
            return False
        if answer.status_code != 404:
            return answer.status_code < 500
    return True


def _die_with_parent() -> None:
    """A supervisor that is killed takes its server with it (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
