"""Finds the user's running engine, or starts it in a process of its own that outlives this one."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from codeface_lsp import paths, runtime
from codeface_lsp.endpoints import early, process
from codeface_lsp.endpoints.codeface import CodefaceServer
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.endpoints.process import Start
from codeface_lsp.errors import EndpointError, EndpointRejected, EndpointUnreachable
from codeface_lsp.runtime import Runtime
from codeface_lsp.settings import EngineSettings

_log = logging.getLogger(__name__)

NAME = "The CodeFace engine"
EXIT_FAILED = 3
"""Exit status of an engine that could not start; its last line on stderr says why."""
_POLL_S = 0.05
_HEALTH_TIMEOUT_S = 5.0


class VersionMismatch(Exception):
    """The engine that runs belongs to another version of CodeFace."""

    def __init__(self, running: Runtime, version: str) -> None:
        super().__init__(version)
        self.running = running
        self.version = version


class Launcher:
    """One per language server. Concurrent callers of `ensure` share one start."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self._starting: asyncio.Task[Runtime] | None = None

    async def find(self) -> Runtime | None:
        """Return the engine that is alive: its lock is held and it answers with its token. None if there is none.

        Raises `VersionMismatch` if it is not the same version of CodeFace.
        """
        found = runtime.read()
        if found is None or not runtime.held():
            return None
        client = ServerClient(NAME, found.url, api_key=found.token)
        try:
            health = await CodefaceServer(client).health(timeout_s=_HEALTH_TIMEOUT_S)
        except EndpointUnreachable:
            return None
        finally:
            await client.aclose()
        if health.get("pid") != found.pid or health.get("protocol") != runtime.PROTOCOL:
            return None
        if health.get("version") != runtime.own_version():
            raise VersionMismatch(found, str(health.get("version")))
        return found

    async def ensure(self) -> Runtime:
        """Return a live engine, starting one if need be. A start goes on even if the caller gives up.

        Raises `EndpointUnreachable` with the engine's own words when it cannot start.
        """
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._find_or_start())
            self._starting.add_done_callback(_retrieve)
        return await asyncio.shield(self._starting)

    async def _find_or_start(self) -> Runtime:
        start = early.take()
        if start is None:
            try:
                found = await self.find()
            except VersionMismatch as mismatch:
                await _stop_unused(mismatch)
                found = None
            if found is not None:
                return found
            start = await asyncio.to_thread(process.start, self.settings)
        try:
            return await self._wait(start)
        finally:
            start.report.unlink(missing_ok=True)

    async def _wait(self, start: Start) -> Runtime:
        deadline = time.monotonic() + self.settings.start_timeout_s
        while time.monotonic() < deadline:
            # Status 0 before the engine is up: another process won the race for the lock, so wait for that one.
            if start.process.poll() not in (None, 0):
                words = _last_words(start.report, start.process.returncode)
                raise EndpointUnreachable(words, kind="engine_start")
            try:
                found = await self.find()
            except VersionMismatch as mismatch:
                raise EndpointUnreachable(
                    f"The engine's Python has CodeFace {mismatch.version}, this is {runtime.own_version()}: "
                    "install the same version in the environment of `engine.python`.",
                    kind="version_mismatch",
                ) from mismatch
            if found is not None:
                _log.info("engine %d answers at port %d", found.pid, found.port)
                return found
            if start.process.poll() == 0 and not runtime.held():
                start = await asyncio.to_thread(process.start, self.settings)
            await asyncio.sleep(_POLL_S)
        raise EndpointUnreachable(
            f"The engine did not answer within {self.settings.start_timeout_s:.0f} s; "
            f"see {paths.log_dir() / 'engine.log'} or run `codeface engine stop`.",
            kind="engine_start",
        )


async def _stop_unused(mismatch: VersionMismatch) -> None:
    """Stop an engine of another version; raises `EndpointRejected` if it serves other windows."""
    client = ServerClient(NAME, mismatch.running.url, api_key=mismatch.running.token)
    try:
        await client.post("/codeface/stop", {"if_unused": True}, timeout_s=_HEALTH_TIMEOUT_S)
    except EndpointRejected as error:
        raise EndpointRejected(
            f"The running engine is CodeFace {mismatch.version}, this is {runtime.own_version()}: "
            "close the other windows or run `codeface engine stop`.",
            status=409,
            kind="version_mismatch",
        ) from error
    except EndpointUnreachable:
        _log.debug("it was gone already")
    finally:
        await client.aclose()
    await left(mismatch.running)


async def left(engine: Runtime) -> None:
    """Wait, some seconds at most, until an engine that was told to stop can be found no more."""
    for _ in range(int(_HEALTH_TIMEOUT_S / _POLL_S)):
        if not runtime.held() or runtime.read() != engine:
            return
        await asyncio.sleep(_POLL_S)


def _last_words(report: Path, status: int) -> str:
    """Return the engine's own sentence, or where to look when it died without one."""
    try:
        lines = report.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    if status == EXIT_FAILED and lines:
        return lines[-1]
    if any("No module named" in line and "codeface_lsp" in line for line in lines):
        return (
            "The interpreter of `engine.python` has no CodeFace: run its `pip install 'codeface-lsp[local]'`."
        )
    _log.error("engine exited with status %s: %s", status, "\n".join(lines[-20:]))
    return f"The engine stopped at its start (status {status}); see {paths.log_dir() / 'engine.log'}."


def _retrieve(task: asyncio.Task[Runtime]) -> None:
    """Mark a start's error as seen, also when every caller has gone."""
    if not task.cancelled() and isinstance(task.exception(), EndpointError):
        _log.debug("start failed")
