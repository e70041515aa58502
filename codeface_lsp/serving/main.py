"""The engine's process: one per user, found through its lock and its runtime file, gone when nobody needs it."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable

import uvicorn
from filelock import Timeout

from codeface_lsp import logs, paths, runtime
from codeface_lsp.errors import CodeFaceError, EngineError
from codeface_lsp.runtime import Runtime
from codeface_lsp.serving.app import create_app
from codeface_lsp.serving.core import Control, Core
from codeface_lsp.settings import Settings

_log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 3
"""The process says on stderr, in one last line, why it could not start."""

_LOOK_S = 20.0
"""How often the engine looks whether it can still be found."""

_PROBE_S = 1.0
"""How long the lock may be held by somebody who only asks whether it is held."""


def run(settings: Settings, *, foreground: bool = False) -> int:
    """Serve until stopped, or until no window was attached for `engine.idle_stop_minutes`; returns the exit status.

    Returns 0 at once if the user's engine is running already. `foreground` logs to stderr instead of the log file.
    """
    lock = runtime.lock()
    try:
        lock.acquire(timeout=_PROBE_S, poll_interval=0.02)
    except Timeout:
        _say("The engine runs already; `codeface engine status` shows it.")
        return EXIT_OK
    try:
        if not settings.engine.mock and not settings.engine.command:
            _check_packages()
            _leave_a_core(settings.engine.threads)
        listener = listen(settings.engine.port)
    except CodeFaceError as error:
        _say(error.message)
        lock.release()
        return EXIT_FAILED
    # oneDNN keeps a compiled kernel for every prompt length it ever met, 1,024 of them: hundreds of megabytes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    logs.configure(settings.log.level, None if foreground else paths.log_dir() / "engine.log")
    try:
        asyncio.run(_serve(settings, listener))
    finally:
        runtime.remove(os.getpid())
        lock.release()
    return EXIT_OK


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _check_packages() -> None:
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise EngineError(
                f"The local engine needs {package}, which this Python lacks: "
                f"run `{sys.executable} -m pip install 'codeface-lsp[local]'`.",
                kind="local_missing",
            )


def _leave_a_core(threads: int) -> None:
    """Have loading and preparing keep to the cores that generating keeps to.

    Read by torch when it is imported. Without it every small operation waits for whatever else runs: with two busy
    cores, preparing the bundled model took 3.6 s instead of 0.13.
    """
    import psutil

    wanted = threads or max(1, (psutil.cpu_count(logical=False) or 2) - 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(wanted))


def listen(port: int) -> socket.socket:
    """Bind the loopback address. Raises `EngineError` if the port is taken."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, each event would wait 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise EngineError(
            f"Port {port} is in use; set `engine.port` to another one, or to 0 for any free one.",
            kind="port_in_use",
        ) from error
    listener.listen(512)
    return listener


async def _serve(settings: Settings, listener: socket.socket) -> None:
    token = secrets.token_urlsafe(32)
    server: uvicorn.Server

    def stop() -> None:
        server.should_exit = True

    control: Control
    if settings.engine.command:
        from codeface_lsp.serving.supervisor import Supervisor, create_supervisor_app

        control = supervisor = Supervisor(settings, stop)
        app = create_supervisor_app(supervisor, token)
    else:
        control = core = Core(settings)
        app = create_app(core, token, stop=stop)
    server = make_server(app)
    port = listener.getsockname()[1]
    runtime.write(Runtime(os.getpid(), port, token, runtime.own_version()))
    _log.info("engine %d listens on port %d", os.getpid(), port)
    idle = asyncio.create_task(_stop_when_idle(control, settings.engine.idle_stop_minutes * 60, stop))
    try:
        await server.serve(sockets=[listener])
    finally:
        idle.cancel()
        listener.close()


def make_server(app: object) -> uvicorn.Server:
    """HTTP server for the API; its sockets are handed to `serve`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            # Longer than clients keep idle connections, so that no request meets a connection being closed.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
    )


async def _stop_when_idle(control: Control, limit_s: float, stop: Callable[[], None]) -> None:
    """Idle stop counts from the last window that left; an engine that nobody can find any more stops as well."""
    while (idle := control.hub.idle_s()) < limit_s:
        await asyncio.sleep(max(0.05, min(limit_s - idle, _LOOK_S)))
        found = runtime.read()
        if control.hub.windows == 0 and (found is None or found.pid != os.getpid()):
            _log.info("the runtime file is gone, so no window can find this engine; it stops")
            break
    else:
        _log.info("nobody needed the engine for %.0f s, it stops", limit_s)
    stop()
