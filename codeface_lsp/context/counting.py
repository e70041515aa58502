"""Counting tokens on the inline path, line by line."""

from __future__ import annotations

from codeface_lsp.context.parts import TokenCounter

_CACHED_LINES = 50_000
_LONG_LINE = 2_000


class LineCounter:
    """Adds up the counts of lines and remembers them: a key makes one line new, not the whole window.

    The sum is at least the count of the whole text, as a tokenizer can only join across line ends, not split.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self.counter = counter
        self._known: dict[str, int] = {}

    def count(self, text: str) -> int:
        """Number of tokens of `text`, counted line by line."""
        lines = text.split("\n")
        last = lines.pop()
        return sum(self.line(line + "\n") for line in lines) + (self.line(last) if last else 0)

    def knows(self, line: str) -> bool:
        """Whether a line was counted already."""
        return line in self._known

    def line(self, line: str) -> int:
        """Number of tokens of one line, its line end included."""
        known = self._known.get(line)
        if known is None:
            if len(line) > _LONG_LINE:  # neither worth the memory nor, in one piece, the time
                return sum(
                    self.counter.count(line[i : i + _LONG_LINE]) for i in range(0, len(line), _LONG_LINE)
                )
            if len(self._known) >= _CACHED_LINES:
                self._known.clear()
            known = self._known[line] = self.counter.count(line)
        return known
