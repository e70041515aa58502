"""Finds the user's running engine, or starts it in a process of its own that outlives this one."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from codeface_lsp import paths, runtime
from codeface_lsp.endpoints.codeface import CodefaceServer
from codeface_lsp.endpoints.http import ServerClient
from codeface_lsp.errors import EndpointError, EndpointRejected, EndpointUnreachable
from codeface_lsp.runtime import Runtime
from codeface_lsp.settings import EngineSettings

_log = logging.getLogger(__name__)

NAME = "The CodeFace engine"
EXIT_FAILED = 3
"""Exit status of an engine that could not start; its last line on stderr says why."""
_POLL_S = 0.05
_HEALTH_TIMEOUT_S = 5.0

_DETACHED = 0x00000208 if sys.platform == "win32" else 0
"""DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP"""

INSTALL_LOCAL = (
    "The local engine needs PyTorch and transformers: run `pip install 'codeface-lsp[local]'`, or let "
    "`engine.python` name an interpreter of an environment that has them."
)


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
        try:
            found = await self.find()
        except VersionMismatch as mismatch:
            await _stop_unused(mismatch)
            found = None
        if found is not None:
            return found
        check_interpreter(self.settings)
        report = paths.log_dir() / f"engine-start-{os.getpid()}.log"
        process = await asyncio.to_thread(spawn, self.settings, report)
        try:
            return await self._wait(process, report)
        finally:
            report.unlink(missing_ok=True)

    async def _wait(self, process: subprocess.Popen[bytes], report: Path) -> Runtime:
        deadline = time.monotonic() + self.settings.start_timeout_s
        while time.monotonic() < deadline:
            # Status 0 before the engine is up: another process won the race for the lock, so wait for that one.
            if process.poll() not in (None, 0):
                raise EndpointUnreachable(_last_words(report, process.returncode), kind="engine_start")
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
            if process.poll() == 0 and not runtime.held():
                process = await asyncio.to_thread(spawn, self.settings, report)
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
    for _ in range(int(_HEALTH_TIMEOUT_S / _POLL_S)):
        if not runtime.held():
            return
        await asyncio.sleep(_POLL_S)


def check_interpreter(settings: EngineSettings) -> None:
    """Raise `EndpointUnreachable` if the interpreter that would run the engine is known to lack it."""
    if settings.python is not None:
        if not Path(settings.python).exists():
            raise EndpointUnreachable(
                f"The interpreter {settings.python} of `engine.python` does not exist; correct the setting.",
                kind="engine_start",
            )
        return
    if settings.mock or settings.command:
        return
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        raise EndpointUnreachable(INSTALL_LOCAL, kind="local_missing")


def spawn(settings: EngineSettings, report: Path) -> subprocess.Popen[bytes]:
    """Start `codeface engine run` detached; what it says on stderr before it has its own log goes to `report`."""
    report.parent.mkdir(parents=True, exist_ok=True)
    command = [settings.python or sys.executable, "-m", "codeface_lsp.serving"]
    with report.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=paths.home() if paths.home().is_dir() else None,
            # Without a session of its own, it would get the Ctrl-C or the hang-up that is meant for the editor.
            start_new_session=True,
            creationflags=_DETACHED,
        )
    # Whoever outlives the engine has to reap it.
    threading.Thread(target=process.wait, name="engine-reaper", daemon=True).start()
    return process


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
