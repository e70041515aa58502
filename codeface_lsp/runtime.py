"""How processes of one user find the local engine: a lock held for life and a runtime file beside it.

The engine writes, everybody else reads. A process id alone proves nothing (ids are reused): an engine is alive
when its lock is held *and* it answers an authenticated `/health`.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from filelock import FileLock, Timeout

from codeface_lsp import paths

PROTOCOL = 1
"""Number of the wire format between language server and engine; part of the file names, so that two formats
never meet."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the engine listens and what it wants to hear."""

    pid: int
    port: int
    token: str
    version: str
    protocol: int = PROTOCOL

    @property
    def url(self) -> str:
        """Base URL; always the loopback address."""
        return f"http://127.0.0.1:{self.port}"


def own_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("codeface-lsp")
    except PackageNotFoundError:
        return "0+unknown"


def runtime_file() -> Path:
    """JSON with pid, port and token, mode 0600."""
    return paths.runtime_dir() / f"engine-{PROTOCOL}.json"


def lock() -> FileLock:
    """Return the lock that an engine holds as long as it lives; not yet acquired."""
    return FileLock(paths.runtime_dir() / f"engine-{PROTOCOL}.lock", mode=0o600)


def held() -> bool:
    """Whether some process holds the engine's lock."""
    probe = lock()
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    return False


def read() -> Runtime | None:
    """Return what the runtime file says, None if there is none or it is not readable."""
    try:
        return Runtime(**json.loads(runtime_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(runtime: Runtime) -> None:
    """Publish the runtime file at once: readers see the old one or the new one, never half of it."""
    target = runtime_file()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name)  # mkstemp makes it with mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(runtime), file)
    Path(name).replace(target)


def remove(pid: int) -> None:
    """Remove the runtime file if it is still that process's own."""
    current = read()
    if current is not None and current.pid == pid:
        with suppress(OSError):
            runtime_file().unlink()
