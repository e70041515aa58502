"""The language server's side of the index: the process that writes it, and a reader that never waits.

All of it runs on the event loop. Readers answer nothing while there is no index yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from codeface_lsp.workspace import store
from codeface_lsp.workspace.reader import Reader

Report = Callable[[str, float | None], Awaitable[None]]
"""Told a message and the share that is done, from 0 to 1."""

_RESTARTS = 3
_STOP_WAIT_S = 5.0
_LINE_LIMIT = 1 << 20

log = logging.getLogger(__name__)
_T = TypeVar("_T")


class IndexClient:
    """One root's index."""

    def __init__(self, root: Path, max_file_kb: int, notice: Callable[[str], None]) -> None:
        self.root = root
        self.file = store.path_of(root)
        self.ready = asyncio.Event()
        self._max_file_kb = max_file_kb
        self._notice = notice
        self._reader: Reader | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._changed: list[str] = []
        self._closing = False

    def read(self, question: Callable[[Reader], _T], nothing: _T) -> _T:
        """Ask the index; `nothing` while there is none, or if it is damaged (the writer then repairs it)."""
        try:
            if self._reader is None:
                if not self.file.exists():
                    return nothing
                self._reader = Reader(self.file)
            return question(self._reader)
        except sqlite3.Error as error:
            log.info("the index cannot be read now: %s", error)
            self._close_reader()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                self.changed([])
            return nothing

    def changed(self, paths: Iterable[Path]) -> None:
        """Let files be read again soon; an empty list only lets the writer look at its index."""
        self._changed += [str(path) for path in paths]
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            message = json.dumps({"changed": self._changed})
            self._changed = []
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(message.encode() + b"\n")

    async def run(self, report: Report | None = None) -> None:
        """Keep an indexing process alive until `aclose`; returns earlier only if it keeps crashing."""
        for _ in range(_RESTARTS):
            code = await self._run_once(report)
            if self._closing or code == 0:
                return
            log.warning("the indexing process ended with code %s", code)
        self._notice("The symbol index keeps failing; completion goes on without it.")

    async def aclose(self) -> None:
        """Stop the process and close the reader."""
        self._closing = True
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), _STOP_WAIT_S)
            except TimeoutError:
                process.kill()
                await process.wait()
                store.marker_of(self.file).unlink(missing_ok=True)  # no file's fault
        self._close_reader()

    async def _run_once(self, report: Report | None) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "codeface_lsp.workspace.indexing",
            str(self.root),
            str(self._max_file_kb),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_LIMIT,
        )
        if self._changed:
            self.changed([])
        assert process.stdout is not None
        async for line in process.stdout:
            with contextlib.suppress(ValueError):
                await self._heard(json.loads(line), report)
        return await process.wait()

    async def _heard(self, message: dict[str, object], report: Report | None) -> None:
        if "notice" in message:
            self._notice(str(message["notice"]))
        elif "ready" in message:
            self._close_reader()
            self.ready.set()
            if report is not None:
                await report("Indexed", 1.0)
        elif "total" in message and report is not None:
            done, total = message["done"], message["total"]
            if isinstance(done, int) and isinstance(total, int):
                await report(f"Indexing {done}/{total} files", done / max(total, 1))

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
