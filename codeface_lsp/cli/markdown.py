"""Markdown on a terminal while it streams: finished blocks are printed for good, the one in progress is redrawn.

Redrawing all of an answer would repeat whatever has scrolled off the screen.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from codeface_lsp.prompting.code_blocks import fence_after


class MarkdownStream:
    """A context in which `feed` shows what has come so far."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._open = ""

    def __enter__(self) -> MarkdownStream:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.update("", refresh=True)
        self._live.__exit__(kind, error, trace)
        self._print(self._open)

    def feed(self, text: str) -> None:
        """Show one more piece."""
        end = finished(self._open + text)
        done, self._open = (self._open + text)[:end], (self._open + text)[end:]
        room = self._console.height - 2
        self._live.update(Markdown("\n".join(self._open.split("\n")[-room:])))
        self._print(done)
        self._live.refresh()

    def _print(self, text: str) -> None:
        if text.strip():
            self._console.print(Markdown(text))


def finished(text: str) -> int:
    """Where the last block begins that may still grow: behind a blank line outside of code."""
    fence = ""
    end = offset = 0
    for line in text.splitlines(keepends=True):
        fence = fence_after(fence, line)
        offset += len(line)
        if not fence and not line.strip() and line.endswith("\n"):
            end = offset
    return end
