"""What the assistant's commands share: the services, streaming to a terminal or a pipe, places in files."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markdown import Markdown

from codeface_lsp.assist import services
from codeface_lsp.assist.chat import Event, Reply
from codeface_lsp.assist.services import Services
from codeface_lsp.cli.complete import read
from codeface_lsp.cli.markdown import MarkdownStream
from codeface_lsp.endpoints.types import Chunk
from codeface_lsp.errors import DocumentError
from codeface_lsp.settings import Settings, load
from codeface_lsp.text.snapshot import Snapshot

Result = TypeVar("Result")
_LINES = re.compile(r"(\d+)(?:-(\d+))?")


@asynccontextmanager
async def open_services(
    settings: Settings | None = None, root: Path | None = None
) -> AsyncIterator[Services]:
    """The services of one command, for the workspace around `root` (default: the current directory)."""
    if settings is None:
        settings = load({"stats": {"enabled": False}})
    built = services.build(settings, [root or Path.cwd()])
    try:
        yield built
    finally:
        await built.aclose()


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's work; Ctrl-C stops the model and ends with status 130."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


def place(file: Path, lines: str | None) -> tuple[Snapshot, int, int]:
    """The document and the range that `--lines 10-20` means; without it, all of the file.

    Raises `DocumentError` for lines outside of the file.
    """
    snapshot = read(file)
    if lines is None:
        return snapshot, 0, len(snapshot.text)
    found = _LINES.fullmatch(lines)
    if found is None:
        raise DocumentError("Give lines as 12 or 12-20.")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= len(snapshot.lines):
        raise DocumentError(f"{file} has {len(snapshot.lines)} lines; {lines} lies outside.")
    start = snapshot.lines.starts[first - 1]
    return snapshot, start, start if found[2] is None else snapshot.lines.line_end(last - 1)


async def show(events: AsyncIterator[Chunk | Event]) -> Reply | None:
    """Stream an answer: rendered Markdown on a terminal, the plain text in a pipe. Returns a chat's reply."""
    reply: Reply | None = None
    if sys.stdout.isatty():
        with MarkdownStream() as stream:
            async for event in events:
                if isinstance(event, Reply):
                    reply = event
                else:
                    stream.feed(event.text)
        return reply
    text = ""
    async for event in events:
        if isinstance(event, Reply):
            reply = event
        else:
            text += event.text
            _plain(event.text)
    if text and not text.endswith("\n"):
        _plain("\n")
    return reply


def print_markdown(text: str) -> None:
    """Print a whole Markdown text: rendered on a terminal, as it is in a pipe."""
    if sys.stdout.isatty():
        Console().print(Markdown(text))
    else:
        _plain(text.rstrip("\n") + "\n")


def _plain(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def with_status(message: str, work: Awaitable[Result]) -> Result:
    """Await something that takes long, with a spinner on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return await work
    with console.status(message):
        return await work
