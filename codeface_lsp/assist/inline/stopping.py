"""When to stop while a model writes: the line policy, the block's end, the file's next lines, repetition.

Every rule looks at the text so far and says what of it is kept. Lines are judged when their line end arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.assist.inline import brackets
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.context import languages
from codeface_lsp.text.lines import indent_of

Reason = Literal["line", "block", "suffix", "repetition", "open"]

_CLOSER_LINE = re.compile(
    r"\s*([)\]}]|end\b|endif\b|endfor\b|endwhile\b|fi\b|done\b|esac\b|</)[\s)\]};,]*.{0,24}$", re.DOTALL
)
_PERIOD = re.compile(r"(.{1,40}?)\1{3,}\Z", re.DOTALL)
_REPEATED_CHARS = 24
_REPEATED_LINES = 3
_MOST_OPEN_LINES = 8
"""Lines within brackets that stay open: a small model goes on listing arguments for ever."""
_FIRST_WORD = re.compile(r"\s*(\w+\W|[^\w\s])")
"""A line's first word, once it is whole."""
_FOLLOWING = re.compile(r"(else|elif|except|finally|catch|case|default|when|rescue|ensure|elsif)\b|[)\]}]")


@dataclass(frozen=True, slots=True)
class Stop:
    """The text to keep, and why generation ended."""

    text: str
    reason: Reason


class StopRules:
    """The rules for one place. `whole(text)` asks the parse tree whether a block with these lines is complete."""

    def __init__(
        self, place: Place, *, multiline: bool, whole: Callable[[str], bool | None] | None = None
    ) -> None:
        self.multiline = multiline
        self._place = place
        self._whole = whole
        language = languages.by_id(place.snapshot.language)
        self._indented = language is None or language.indented
        self._below = place.lines_below(3)
        above = place.lines_above(1)
        blank = not place.before.strip()
        self._header_indent = _indent(place.before) if not blank else (_indent(above[0]) if above else 0)
        self._at_blank = blank
        self._by_paragraph = blank and not (above and _opens(above[0]))
        self._judged = 0

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """What the server itself can stop at."""
        return () if self.multiline else ("\n",)

    def check(self, text: str) -> Stop | None:
        """What to keep if generation should end now, None to go on."""
        if not self.multiline and "\n" in text:
            return Stop(text[: text.index("\n")], "line")
        complete = text.count("\n")
        if complete > self._judged or self._may_end(text):
            self._judged = complete
            if stop := self._check_lines(text) or self._open_too_long(text):
                return stop
        return _repetition(text)

    def whole_so_far(self, text: str) -> str:
        """What can be shown of a text that was cut off: whole lines with balanced brackets, else whole words."""
        return self._whole_lines(text) or _whole_words(text.split("\n")[0])

    def _whole_lines(self, text: str) -> str:
        """The most whole lines with balanced brackets."""
        lines = text.split("\n")
        for count in range(len(lines) - 1, 0, -1):
            kept = "\n".join(lines[:count])
            if kept.strip() and not self._balance(kept).open:
                return kept
        return ""

    def _balance(self, text: str) -> brackets.Balance:
        return brackets.scan(text, self._place.snapshot.language)

    def _may_end(self, text: str) -> bool:
        """Whether the line that is being written may show already that the block, or the paragraph, is over."""
        lines = text.split("\n")
        if len(lines) == 1 or not lines[-1].strip():
            return False
        return _indent(lines[-1]) < self._floor(lines) or (self._by_paragraph and not lines[-2].strip())

    def _check_lines(self, text: str) -> Stop | None:
        lines = text.split("\n")
        partial = len(lines) - 1
        floor = self._floor(lines)
        blank_before = False
        written = bool(lines[0].strip())
        for index in range(1 if not self._at_blank else 0, len(lines)):
            line = lines[index] if index else self._place.before + lines[0]
            if not line.strip():
                blank_before = index < partial or blank_before
                continue
            if index < partial and self._is_below(lines, index):
                return Stop(_join(lines, index), "suffix")
            if index and written and (stop := self._block_end(lines, index, floor, blank_before)):
                return stop
            written, blank_before = True, False
        return None

    def _block_end(self, lines: list[str], index: int, floor: int, blank_before: bool) -> Stop | None:
        line = lines[index]
        kept = _join(lines, index)
        depth = len(self._balance(kept).open)
        if _indent(line) < floor and not depth:
            if self._indented or not _CLOSER_LINE.match(line):
                return Stop(kept, "block")
            if index == len(lines) - 1:
                return None
            with_closer = _join(lines, index + 1)
            return Stop(with_closer if self._closes(with_closer) else kept, "block")
        if not (self._by_paragraph and blank_before) or _indent(line) > floor or depth:
            return None
        known = index < len(lines) - 1 or _FIRST_WORD.match(line)
        return Stop(kept.rstrip(), "block") if known and not _FOLLOWING.match(line.strip()) else None

    def _closes(self, text: str) -> bool:
        """Whether the closing line belongs to the suggestion: the file still lacks it."""
        return bool(self._whole(text)) if self._whole is not None else not self._below

    def _open_too_long(self, text: str) -> Stop | None:
        if not self._indented or text.count("\n") <= _MOST_OPEN_LINES:
            return None  # where blocks stand in braces, a long one is nothing special
        owed = self._balance(text).open
        kept = self._whole_lines(text)
        inside = text.count("\n") - kept.count("\n") - 1
        if not owed or owed[0] not in ")]}" or inside < _MOST_OPEN_LINES:
            return None
        return Stop(kept or text[: text.rindex("\n")], "open")

    def _is_below(self, lines: list[str], index: int) -> bool:
        """Whether a written line is one of the file's next ones; a short one must be the very next."""
        line = (self._place.before + lines[0] if index == 0 else lines[index]).rstrip()
        if self._below and line == self._below[0]:
            return index > 0 or self._at_blank
        return len(line.strip()) >= 12 and line in self._below[1:]

    def _floor(self, lines: list[str]) -> int:
        """Least indentation of a line that still belongs to the block."""
        if not self._at_blank:
            return self._header_indent + 1
        first = self._place.before + lines[0]
        if not first.strip():
            first = next((line for line in lines[1:] if line.strip()), "")
        return _indent(first)


def _indent(line: str) -> int:
    """Width of the white space that a line begins with; a tab counts as one, since files do not mix them."""
    return len(indent_of(line))


def _opens(line: str) -> bool:
    return line.rstrip().endswith((":", "{", "(", "[", "=>", "->", "do", "then"))


def _join(lines: list[str], end: int) -> str:
    return "\n".join(lines[:end]).rstrip("\n")


def _repetition(text: str) -> Stop | None:
    found = _PERIOD.search(text[-400:])
    if found and len(found.group()) >= _REPEATED_CHARS and found.group(1).strip():
        start = len(text) - len(text[-400:]) + found.start()
        return Stop(text[: start + len(found.group(1))].rstrip("\n"), "repetition")
    lines = text.split("\n")
    if len(lines) > _REPEATED_LINES:
        done = [line.strip() for line in lines[:-1] if line.strip()]
        if len(done) >= _REPEATED_LINES and len(done[-1]) > 3 and len(set(done[-_REPEATED_LINES:])) == 1:
            first = next(i for i, line in enumerate(lines) if line.strip() == done[-1])
            return Stop("\n".join(lines[: first + 1]), "repetition")
    return None


def _whole_words(line: str) -> str:
    """A line without the word, the operator or the bracket that it was cut off in."""
    cut = re.sub(r"\w+\Z", "", line)
    return re.sub(r"[\s([{.,=+\-*/%&|^<>!:]+\Z", "", cut)
