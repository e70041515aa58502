"""Where a completion might be asked for: cuts a text into prefix, middle and suffix at character level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("rest of line", "whole line", "lines", "block", "span")
SHARES = (0.40, 0.20, 0.20, 0.12, 0.08)
NEWLINE_IN_MIDDLE = 0.65
"""Share of the holes whose suffix starts at the next line as the engine sends it, without the newline before it."""


@dataclass(frozen=True)
class Hole:
    """What stands before, what is missing, what stands after."""

    prefix: str
    middle: str
    suffix: str


def line_start(text: str, at: int) -> int:
    """Where the line that holds `at` begins."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """Where the line that holds `at` ends, before its newline."""
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def indentation(line: str) -> int:
    """Width of the white space a line starts with."""
    return len(line) - len(line.lstrip())


def block_end(text: str, at: int) -> int:
    """The end of the block that the line of `at` opens, or of the one it stands in."""
    start, end = line_start(text, at), line_end(text, at)
    width = indentation(text[start:end])
    opens = text[start:end].rstrip().endswith(":")
    while end < len(text):
        following = line_end(text, end + 1)
        line = text[end + 1 : following]
        if line.strip() and (indentation(line) <= width if opens else indentation(line) < width):
            break
        end = following
    return len(text[:end].rstrip())


def _end_of(kind: str, text: str, cursor: int, rng: np.random.Generator) -> int:
    end = line_end(text, cursor)
    if kind == "lines":
        for _ in range(int(rng.integers(1, 6))):
            end = line_end(text, min(end + 1, len(text)))
    elif kind == "block":
        end = min(max(block_end(text, cursor), end), cursor + 1500)
    elif kind == "span":
        end = int(rng.integers(cursor, end + 1))
    return end


def cut(text: str, near: int, rng: np.random.Generator) -> Hole:
    """A hole whose cursor lies on the line of `near`.

    The suffix starts at the next line, with or without the newline (then the middle ends with it),
    except for a span inside the line.
    """
    kind = str(rng.choice(KINDS, p=SHARES))
    start, end = line_start(text, near), line_end(text, near)
    if kind == "whole line":
        cursor = start + indentation(text[start:end]) if rng.random() < 0.8 else start
    else:
        cursor = int(rng.integers(start, end + 1))
    stop = max(_end_of(kind, text, cursor, rng), cursor)
    if kind != "span" and stop < len(text) and text[stop] == "\n" and rng.random() < NEWLINE_IN_MIDDLE:
        stop += 1
    return Hole(text[:cursor], text[cursor:stop], text[stop:])
