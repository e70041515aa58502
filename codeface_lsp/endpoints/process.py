"""The engine's process: whether an interpreter can run it, and how it is started."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from codeface_lsp import paths
from codeface_lsp.errors import EndpointUnreachable
from codeface_lsp.settings import EngineSettings

INSTALL_LOCAL = (
    "The local engine needs PyTorch and transformers: run `pip install 'codeface-lsp[local]'`, or let "
    "`engine.python` name an interpreter of an environment that has them."
)
_DETACHED = 0x00000208 if sys.platform == "win32" else 0
"""DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP"""


@dataclass(frozen=True, slots=True)
class Start:
    """An engine that was started, and the file with what it says on stderr before it has its own log."""

    process: subprocess.Popen[bytes]
    report: Path


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


def start(settings: EngineSettings) -> Start:
    """Start `codeface engine run` detached. Raises `EndpointUnreachable` if its interpreter can't run it."""
    check_interpreter(settings)
    report = paths.log_dir() / f"engine-start-{os.getpid()}.log"
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
    return Start(process, report)
