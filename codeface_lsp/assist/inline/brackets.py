"""Brackets and quotes that a piece of code opens and closes; strings and line comments are skipped.

A scan of a few hundred characters, not a parse: it says which closing signs a suggestion supplies, so that those
which already stand to the right of the cursor are not doubled.
"""

from __future__ import annotations

from dataclasses import dataclass

from codeface_lsp.context import languages

PAIRS = {"(": ")", "[": "]", "{": "}"}
_CLOSING = frozenset(PAIRS.values())
_QUOTES = frozenset("\"'`")


@dataclass(frozen=True, slots=True)
class Balance:
    """`open`: closing signs still owed, innermost last. `closed`: those that closed what was open before the text."""

    open: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    @property
    def owed(self) -> str:
        """What would close everything, innermost first."""
        return "".join(reversed(self.open))


def scan(text: str, language_id: str, start: Balance | None = None) -> Balance:
    """Follow `text` from the state `start`; an open quote ends with its line, save for triple ones."""
    language = languages.by_id(language_id)
    comment = language.line_comment if language else ""
    stack = list(start.open) if start else []
    base = len(stack)
    closed: list[str] = []
    at = 0
    while at < len(text):
        sign = text[at]
        quote = stack[-1] if stack and stack[-1][0] in _QUOTES else ""
        if quote:
            at += _inside_string(text, at, quote, stack, closed, base)
        elif sign in _QUOTES:
            width = 3 if text.startswith(sign * 3, at) else 1
            if width == 3 or _closes_on_line(text, at, sign):
                stack.append(sign * width)
            at += width
        elif comment and text.startswith(comment, at):
            found = text.find("\n", at)
            at = len(text) if found < 0 else found
        else:
            if sign in PAIRS:
                stack.append(PAIRS[sign])
            elif sign in _CLOSING:
                _close(sign, stack, closed, base)
            at += 1
        base = min(base, len(stack))
    return Balance(tuple(stack), tuple(closed))


def _inside_string(text: str, at: int, quote: str, stack: list[str], closed: list[str], base: int) -> int:
    if text[at] == "\\":
        return 2
    if text.startswith(quote, at):
        _close(quote, stack, closed, base)
        return len(quote)
    if text[at] == "\n" and len(quote) == 1 and quote != "`":
        stack.pop()
    return 1


def _close(sign: str, stack: list[str], closed: list[str], base: int) -> None:
    """Close the innermost bracket if it fits; one that nothing here opened belongs to an earlier line."""
    if stack and stack[-1] == sign:
        if len(stack) <= base:
            closed.append(sign)
        stack.pop()
    elif not stack:
        closed.append(sign)


def _closes_on_line(text: str, at: int, sign: str) -> bool:
    """An apostrophe between letters (`don't`, `'a` in Rust) opens no string unless it is closed on its line."""
    if sign != "'":
        return True
    end = text.find("\n", at)
    return sign in text[at + 1 : len(text) if end < 0 else end] or at == 0 or not text[at - 1].isalnum()
