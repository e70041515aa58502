"""A language client at the level of the wire, for tests that must send what no library would let them send.

It fails loudly: an answer to an unknown id, or a second answer to the same id, is an error.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

SERVER = [sys.executable, "-m", "codeface_lsp", "lsp"]
TIMEOUT = 60.0

CAPABILITIES: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "window": {"workDoneProgress": True, "showDocument": {"support": True}},
    "workspace": {"applyEdit": True, "workspaceEdit": {"documentChanges": True}},
    "textDocument": {
        "inlineCompletion": {},
        "completion": {},
        "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": []}}},
    },
}


class ServerError(Exception):
    """An error answer."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


class LspClient:
    """Speaks to one server process; notifications are kept by method."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.notifications: dict[str, list[Any]] = defaultdict(list)
        self.requests: list[dict[str, Any]] = []
        self.stray: list[dict[str, Any]] = []
        self.on_request: dict[str, Callable[[Any], Any]] = {
            "workspace/configuration": lambda params: [{} for _ in params["items"]],
            "workspace/applyEdit": lambda _: {"applied": True},
            "window/showDocument": lambda _: {"success": True},
        }
        self._ids = itertools.count(1)
        self._waiting: dict[Any, asyncio.Future[Any]] = {}
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while True:
            length = 0
            while line := (await self.process.stdout.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not length:
                break
            await self._take(json.loads(await self.process.stdout.readexactly(length)))
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the server closed its output"))

    async def _take(self, message: dict[str, Any]) -> None:
        async with self._changed:
            if "method" in message and "id" in message:
                self.requests.append(message)
                answer = self.on_request.get(message["method"], lambda _: None)(message.get("params"))
                if asyncio.iscoroutine(answer):
                    asyncio.get_running_loop().create_task(self._answer(message["id"], answer))
                elif answer is not NO_ANSWER:
                    self.send({"jsonrpc": "2.0", "id": message["id"], "result": answer})
            elif "method" in message:
                self.notifications[message["method"]].append(message.get("params"))
            elif (future := self._waiting.pop(message.get("id"), None)) is not None:
                if "error" in message:
                    future.set_exception(ServerError(message["error"]))
                else:
                    future.set_result(message.get("result"))
            else:
                self.stray.append(message)
            self._changed.notify_all()

    async def _answer(self, request_id: Any, answer: Any) -> None:
        self.send({"jsonrpc": "2.0", "id": request_id, "result": await answer})

    def send(self, message: Any) -> None:
        self.send_bytes(json.dumps(message).encode())

    def send_bytes(self, body: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def start(self, method: str, params: Any = None, *, id: Any = None) -> tuple[Any, asyncio.Future[Any]]:
        """Send a request; return its id and the future of its answer."""
        request_id = next(self._ids) if id is None else id
        future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return request_id, future

    async def request(self, method: str, params: Any = None, *, timeout: float = TIMEOUT) -> Any:
        _, future = self.start(method, params)
        return await asyncio.wait_for(future, timeout)

    def cancel(self, request_id: Any) -> None:
        self.notify("$/cancelRequest", {"id": request_id})

    async def until(self, condition: Callable[[], Any], *, timeout: float = TIMEOUT) -> Any:
        """Wait until something that the server sends makes `condition` true; return its value."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))
        return condition()

    async def initialize(self, root: Path | None = None, *, options: Any = None, **capabilities: Any) -> Any:
        result = await self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": root.as_uri() if root else None,
                "workspaceFolders": [{"uri": root.as_uri(), "name": root.name}] if root else None,
                "capabilities": CAPABILITIES | capabilities,
                "initializationOptions": options or {},
            },
        )
        self.notify("initialized", {})
        return result

    def open(self, uri: str, text: str, language: str = "python", version: int = 1) -> None:
        document = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})

    def change(self, uri: str, version: int, start: tuple[int, int], end: tuple[int, int], text: str) -> None:
        span = {
            "start": {"line": start[0], "character": start[1]},
            "end": {"line": end[0], "character": end[1]},
        }
        self.notify(
            "textDocument/didChange",
            {
                "textDocument": {"uri": uri, "version": version},
                "contentChanges": [{"range": span, "text": text}],
            },
        )

    async def inline(self, uri: str, line: int, character: int, *, invoked: bool = True) -> Any:
        return await self.request(
            "textDocument/inlineCompletion",
            {
                "textDocument": {"uri": uri},
                "position": {"line": line, "character": character},
                "context": {"triggerKind": 1 if invoked else 2},
            },
        )

    async def shutdown(self) -> int:
        """The polite end; returns the exit status."""
        await self.request("shutdown")
        self.notify("exit")
        return await self.exit_status()

    async def exit_status(self) -> int:
        return await asyncio.wait_for(self.process.wait(), TIMEOUT)

    async def aclose(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        self._reader.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await self._reader
        for future in self._waiting.values():
            future.cancel()


NO_ANSWER = object()
"""Returned by an `on_request` handler that leaves the server waiting."""


@asynccontextmanager
async def language_server(
    home: Path,
    *,
    environ: Mapping[str, str] | None = None,
    command: list[str] | None = None,
    log: Path | None = None,
) -> AsyncIterator[LspClient]:
    """A real server over stdio, with its own `CODEFACE_HOME`; killed at the end if it still runs.

    Its stderr goes to the file `log`, or to the test's own.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CODEFACE_")}
    environment |= {"CODEFACE_HOME": str(home), **(environ or {})}
    with log.open("wb") if log else nullcontext() as stderr:
        process = await asyncio.create_subprocess_exec(
            *(command or SERVER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment,
            limit=2**26,
        )
    client = LspClient(process)
    try:
        yield client
        assert not client.stray, f"answers that nobody waited for: {client.stray}"
    finally:
        await client.aclose()
        _stop_engine(home)


def _stop_engine(home: Path) -> None:
    """End the engine that the server started; it would wait half an hour for the next window."""
    for file in (home / "run").glob("engine-*.json"):
        with suppress(OSError, ValueError, KeyError):
            os.kill(json.loads(file.read_text())["pid"], signal.SIGTERM)
