"""The file's own unit of indentation, and a suggestion brought to it."""

from __future__ import annotations

import re
from collections import Counter

from codeface_lsp.text.lines import indent_of

_SAMPLE_CHARS = 20_000
_COMMON_UNIT = "    "
_MOST_LEVELS_IN_BRACKETS = 2
_OPENER = re.compile(r"[:{(\[]\s*(#.*|//.*)?$")


def unit_of(text: str, around: int) -> str | None:
    """A tab, or the number of spaces of one level near `around`; None if the text does not say."""
    sample = text[max(0, around - _SAMPLE_CHARS) : around + _SAMPLE_CHARS // 2]
    steps: Counter[str] = Counter()
    above, opened = "", False
    for line in sample.split("\n"):
        if not line.strip():
            continue
        margin = indent_of(line)
        if margin.startswith("\t"):
            steps["\t"] += 1
        elif opened and len(margin) > len(above) and "\t" not in above:
            steps[" " * (len(margin) - len(above))] += 1
        above, opened = margin, bool(_OPENER.search(line))
    if not steps:
        return None
    unit, count = steps.most_common(1)[0]
    return unit if unit == "\t" or (1 < len(unit) <= 8 and count * 2 > sum(steps.values())) else None


def is_level(margin: str, above: str, unit: str | None) -> bool:
    """Whether a line may be indented by `margin` below the line `above`: as that, one level in, or any number out."""
    last = indent_of(above)
    if margin == last:
        return True
    levels = 0 if not _OPENER.search(above) else 1 if above.endswith(":") else _MOST_LEVELS_IN_BRACKETS
    step = len(unit or _COMMON_UNIT)
    return len(margin) % step == 0 and len(margin) <= len(last) + levels * step


def in_unit(text: str, unit: str, margin: str) -> str:
    """Rewrite the indentation of the lines after the first in `unit`; `margin` is the first line's.

    Only where the text clearly uses another unit: other characters, or another width at its first opened block.
    """
    lines = text.split("\n")
    theirs = _unit_within(lines, margin)
    if theirs is None or theirs == unit:
        return text
    base = len(margin)
    return "\n".join([lines[0], *(_converted(line, theirs, unit, margin, base) for line in lines[1:])])


def _unit_within(lines: list[str], margin: str) -> str | None:
    above = margin
    for number, line in enumerate(lines[1:], start=1):
        if not line.strip():
            continue
        indent = indent_of(line)
        if len(indent) > len(above) and indent.startswith(above) and _OPENER.search(lines[number - 1]):
            step = indent[len(above) :]
            return step if len(set(step)) == 1 else None
        above = indent
    return None


def _converted(line: str, theirs: str, unit: str, margin: str, base: int) -> str:
    indent = indent_of(line)
    if not line.strip() or not indent.startswith(margin):
        return line
    extra = indent[base:]
    if len(extra) % len(theirs) or set(extra) - set(theirs):
        return line
    return margin + unit * (len(extra) // len(theirs)) + line[len(indent) :]
