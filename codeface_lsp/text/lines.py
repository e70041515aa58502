"""Lines, positions and offsets of a text, in the three encodings of LSP 3.17 (section "Position").

Only `\\r\\n`, `\\n` and `\\r` end a line, as the specification says. `str.splitlines` also splits at form feeds,
U+2028 and U+0085, which would shift every line after one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import Literal

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\n|\r")


def units(text: str, encoding: Encoding) -> int:
    """Length of `text` in the code units of `encoding`."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(1 for char in text if ord(char) > 0xFFFF)


def prefix_of_units(text: str, count: int, encoding: Encoding) -> int:
    """How many code points of `text` lie within its first `count` code units.

    A count inside a character is rounded down to the character's start; one past the end gives `len(text)`.
    """
    if encoding == "utf-32" or text.isascii():
        return max(0, min(count, len(text)))
    seen = 0
    for index, char in enumerate(text):
        seen += units(char, encoding)
        if seen > count:
            return index
    return len(text)


def indent_of(line: str) -> str:
    """The blanks and tabs that a line begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


class LineIndex:
    """Maps between `(line, character)` positions and code-point offsets of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        if "\r" in text:
            ends = list(_LINE_END.finditer(text))
            self.starts = [0, *(match.end() for match in ends)]
            self._content_ends = [*(match.start() for match in ends), len(text)]
        else:  # at C speed: this runs once per key on the whole file
            self.starts = [0, *accumulate([len(line) + 1 for line in text.split("\n")])]
            self._content_ends = [start - 1 for start in self.starts[1:]]
            self.starts.pop()

    def __len__(self) -> int:
        """Number of lines; a text that ends in a newline has an empty last line."""
        return len(self.starts)

    def line(self, number: int) -> str:
        """Text of a line without its line end."""
        return self.text[self.starts[number] : self._content_ends[number]]

    def line_end(self, number: int) -> int:
        """Offset just before the line's line end."""
        return self._content_ends[number]

    def line_at(self, offset: int) -> int:
        """Number of the line that contains `offset`."""
        return bisect_right(self.starts, offset) - 1

    def offset(self, line: int, character: int, encoding: Encoding = "utf-16") -> int:
        """Offset of a position; positions past a line's or the text's end are clamped, as LSP asks."""
        if line < 0:
            return 0
        if line >= len(self.starts):
            return len(self.text)
        return self.starts[line] + prefix_of_units(self.line(line), max(0, character), encoding)

    def position(self, offset: int, encoding: Encoding = "utf-16") -> tuple[int, int]:
        """`(line, character)` of an offset; inside `\\r\\n` it is the end of the line."""
        offset = max(0, min(offset, len(self.text)))
        line = self.line_at(offset)
        end = min(offset, self._content_ends[line])
        return line, units(self.text[self.starts[line] : end], encoding)
