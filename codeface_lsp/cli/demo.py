"""`codeface demo`: the main job on real files, through the real server, as an editor would use it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from codeface_lsp.cli import engine
from codeface_lsp.errors import CodeFaceError

console = Console()
PARTIAL = "codeface-demo-explain"

TEXT_WIDTH = 30

SAMPLE = Path(__file__).parents[1] / "text" / "lines.py"
TYPED_AFTER = '        """Text of a line without its line end."""\n'
"""The sample is cut behind this line; its next line is typed key by key."""


class DemoClient:
    """An editor without a window: opens a file, types, and shows what comes back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.language_client = LanguageClient("codeface-demo", "1")
        self.status: dict[str, Any] = {}
        self.streamed = ""
        self.first_token_at = 0.0
        self._news = asyncio.Event()
        self._listen()

    def _listen(self) -> None:
        """Register what the server sends. (pygls marks handlers with attributes, which methods cannot carry.)"""
        feature = self.language_client.feature
        feature("codeface/didChangeStatus")(lambda params: self._status_changed(params))
        feature(types.PROGRESS)(lambda params: self._progress(params))
        feature(types.WINDOW_SHOW_MESSAGE)(lambda params: self._message(params))
        feature(types.WINDOW_WORK_DONE_PROGRESS_CREATE)(lambda params: None)

    def _status_changed(self, params: Any) -> None:
        self.status = {"state": params.state, "message": getattr(params, "message", "")}
        self._news.set()

    def _progress(self, params: types.ProgressParams) -> None:
        if params.token != PARTIAL:
            return
        self.first_token_at = self.first_token_at or time.perf_counter()
        value: Any = params.value
        delta = value["delta"] if isinstance(value, dict) else value.delta
        self.streamed += delta
        console.print(delta, end="", style="italic", highlight=False, markup=False)

    def _message(self, params: types.ShowMessageParams) -> None:
        console.print(f"[yellow]server:[/yellow] {params.message}")

    async def start(self) -> float:
        """Start the server; seconds from spawn to its answer to `initialize`."""
        started = time.perf_counter()
        await self.language_client.start_io(sys.executable, "-m", "codeface_lsp", "lsp")
        await self.language_client.initialize_async(
            types.InitializeParams(
                capabilities=types.ClientCapabilities(
                    window=types.WindowClientCapabilities(work_done_progress=True)
                ),
                process_id=os.getpid(),
                workspace_folders=[types.WorkspaceFolder(self.root.as_uri(), self.root.name)],
            )
        )
        elapsed = time.perf_counter() - started
        self.language_client.initialized(types.InitializedParams())
        return elapsed

    async def ready(self, seconds: float = 120) -> None:
        """Wait for the model; raises `CodeFaceError` with what the server said if there is none."""
        async with asyncio.timeout(seconds):
            while self.status.get("state") != "ready":
                if self.status.get("state") == "error":
                    raise CodeFaceError(self.status["message"])
                self._news.clear()
                await self._news.wait()

    def open(self, uri: str, text: str) -> None:
        """Open a document."""
        item = types.TextDocumentItem(uri, "python", 1, text)
        self.language_client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def type_key(self, uri: str, version: int, line: int, column: int, key: str) -> None:
        """Type one character."""
        here = types.Position(line, column)
        change = types.TextDocumentContentChangePartial(text=key, range=types.Range(here, here))
        document = types.VersionedTextDocumentIdentifier(version, uri)
        self.language_client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    async def ghost_text(self, uri: str, line: int, column: int) -> str:
        """Ask as an editor does at a pause; empty if the server deliberately shows nothing."""
        answer = await self.language_client.text_document_inline_completion_async(
            types.InlineCompletionParams(
                context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Automatic),
                text_document=types.TextDocumentIdentifier(uri),
                position=types.Position(line, column),
            )
        )
        items = answer.items if isinstance(answer, types.InlineCompletionList) else answer or []
        if not items:
            return ""
        item, text = items[0], items[0].insert_text
        inserted = text if isinstance(text, str) else text.value
        return inserted[column - item.range.start.character :] if item.range else inserted

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        """A custom request."""
        return await self.language_client.protocol.send_request_async(method, params)

    async def stop(self) -> None:
        """Leave politely."""
        await self.language_client.shutdown_async(None)
        self.language_client.exit(None)
        stop: Callable[[], Awaitable[None]] = self.language_client.stop
        await stop()


async def _typing(client: DemoClient, uri: str, text: str, line_text: str) -> None:
    client.open(uri, text)
    line = text.count("\n")
    table = Table(
        title="Typing, key by key (TTFT: the engine's time to first token)",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("typed and suggested", no_wrap=True, width=TEXT_WIDTH)
    for heading in ("answer", "TTFT", "tok/s", "prompt", "cached"):
        table.add_column(heading, justify="right", no_wrap=True)
    typed = ""
    before: Any = None
    for version, key in enumerate(line_text, start=2):
        client.type_key(uri, version, line, len(typed), key)
        typed += key
        if typed.isspace():
            continue
        asked = time.perf_counter()
        ghost = await client.ghost_text(uri, line, len(typed))
        elapsed = (time.perf_counter() - asked) * 1000
        figures = (await client.request("codeface/status", {})).lastCompletion
        shown = Text(typed.lstrip()[-TEXT_WIDTH * 2 // 3 :]) + Text(
            ghost.split("\n")[0], style="dim italic cyan"
        )
        table.add_row(shown, f"{elapsed:.0f} ms", *_figures(None if figures == before else figures))
        before = figures
    console.print(table)


def _figures(figures: Any) -> tuple[str, str, str, str]:
    """First token, tokens/s, prompt tokens, those of them from the cache; dashes if no model was asked."""
    if figures is None:
        return "-", "-", "-", "-"
    rate = figures.completionTokens / figures.predictedMs * 1000 if figures.predictedMs else 0.0
    first = figures.queueMs + figures.promptMs
    return f"{first:.0f} ms", f"{rate:.0f}", f"{figures.promptTokens}", f"{figures.cachedTokens}"


def _function(text: str, name: str) -> tuple[int, int]:
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"def {name}("))
    end = next(
        number for number in range(start + 1, len(lines)) if lines[number] and not lines[number][0].isspace()
    )
    return start, end


async def _explain(client: DemoClient, uri: str, text: str) -> None:
    start, end = _function(text, "prefix_of_units")
    code = "\n".join(text.splitlines()[start:end]).rstrip()
    console.print(
        Panel(
            Syntax(code, "python", background_color="default"),
            title="Explain this function",
            title_align="left",
        )
    )
    span = {"start": {"line": start, "character": 0}, "end": {"line": end, "character": 0}}
    params = {"textDocument": {"uri": uri}, "range": span, "partialResultToken": PARTIAL}
    asked = time.perf_counter()
    await client.request("codeface/explain", params)
    total, first = time.perf_counter() - asked, client.first_token_at - asked
    console.print(f"\n[dim]first piece after {first * 1000:.0f} ms, whole answer after {total:.1f} s[/dim]")


async def _cancel(client: DemoClient, uri: str) -> None:
    """Ask where nothing is cached, and cancel while the engine reads the prompt."""
    protocol = client.language_client.protocol
    params = types.InlineCompletionParams(
        context=types.InlineCompletionContext(types.InlineCompletionTriggerKind.Invoked),
        text_document=types.TextDocumentIdentifier(uri),
        position=types.Position(40, 0),
    )
    answer = protocol.send_request(types.TEXT_DOCUMENT_INLINE_COMPLETION, params, msg_id="cancel-me")
    await asyncio.sleep(0.03)
    asked = time.perf_counter()
    client.language_client.cancel_request(types.CancelParams("cancel-me"))
    try:
        await asyncio.wrap_future(answer)
        outcome = "was faster than its cancellation"
    except JsonRpcException as error:
        outcome = f"got its one answer: {error} [dim]({error.code})[/dim]"
    elapsed = (time.perf_counter() - asked) * 1000
    console.print(
        f"A completion that was cancelled after 30 ms {outcome}, {elapsed:.0f} ms after the cancellation."
    )


async def _act(name: str, act: Callable[[], Awaitable[None]]) -> None:
    console.rule(f"[bold]{name}")
    await act()


async def _run() -> None:
    whole = SAMPLE.read_text(encoding="utf-8")
    cut = whole.index(TYPED_AFTER) + len(TYPED_AFTER)
    line_text = whole[cut:].split("\n")[0]
    with tempfile.TemporaryDirectory(prefix="codeface-demo-") as folder:
        root = Path(folder)
        sample, edited = root / "lines.py", root / "edited.py"
        sample.write_text(whole, encoding="utf-8")
        client = DemoClient(root)
        console.print(
            f"[bold]codeface-lsp[/bold] answered `initialize` after {await client.start() * 1000:.0f} ms"
        )
        started = time.perf_counter()
        await client.ready()
        console.print(f"The engine and its model were ready {time.perf_counter() - started:.1f} s later")
        await _act("Ghost text", lambda: _typing(client, edited.as_uri(), whole[:cut], line_text))
        client.open(sample.as_uri(), whole)
        await _act("Explain", lambda: _explain(client, sample.as_uri(), whole))
        await _act("Cancel", lambda: _cancel(client, sample.as_uri()))
        await client.stop()


def demo(
    keep_home: Annotated[
        bool, typer.Option(help="Use your own settings and engine instead of a fresh home.")
    ] = False,
) -> None:
    """Show ghost text, explain and cancel on a real file with the model in force."""
    if keep_home or "CODEFACE_HOME" in os.environ:
        asyncio.run(_run())
        return
    with tempfile.TemporaryDirectory(prefix="codeface-home-") as home:
        os.environ["CODEFACE_HOME"] = home
        try:
            asyncio.run(_run())
        finally:
            engine.stop()
