"""Counts the tokens of open documents' lines in the pauses of the event loop, so that a jump finds them counted.

Else a place not seen before costs a third more: some sixty lines, which the tokenizer takes about a millisecond for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from codeface_lsp.context.counting import LineCounter

_PAUSE_S = 0.005
_CHARS_A_STEP = 1_500
"""Some forty lines: they hold the event loop for about half a millisecond."""
_MOST_CHARS = 1_000_000
"""Of a longer document the lines are counted when they are needed."""


class Warming:
    """The documents whose lines are counted, each once for each tokenizer."""

    def __init__(self) -> None:
        self._begun: dict[str, LineCounter] = {}
        self._left: dict[str, Iterator[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self, uri: str, text: str, counter: LineCounter) -> None:
        """Count the lines of a document soon; does nothing if that has begun before, or outside of an event loop."""
        if self._begun.get(uri) is counter or len(text) > _MOST_CHARS:
            return
        self._begun[uri] = counter
        self._left[uri] = _steps(text, counter)
        if self._task is None or self._task.done():
            try:
                self._task = asyncio.get_running_loop().create_task(self._run())
            except RuntimeError:
                self._left.clear()

    def drop(self, uri: str) -> None:
        """A document was closed."""
        self._begun.pop(uri, None)
        self._left.pop(uri, None)

    def stop(self) -> None:
        """Count no more."""
        self._left.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._left:
            uri, steps = next(iter(self._left.items()))
            if next(steps, self) is self:
                self._left.pop(uri)
            await asyncio.sleep(_PAUSE_S)


def _steps(text: str, counter: LineCounter) -> Iterator[None]:
    chars = 0
    for line in text.splitlines(keepends=True):
        if not counter.knows(line):
            counter.line(line)
            chars += len(line)
            if chars > _CHARS_A_STEP:
                chars = 0
                yield
