"""Realistic key events over a real file: what an editor sends while a person types a function again.

    for event in keys(text, start, end, seed=1):
        event.text, event.offset, event.kind     # the whole text after the key, the cursor, what happened

The region `[start, end)` is deleted and typed from nothing, as editors do it: brackets and quotes close by
themselves and are typed over, Enter indents, 4 % of letters are mistyped and corrected with backspace.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "start", "key", "autoclose", "overtype", "enter", "typo", "backspace", "dedent", "jump", "return"
]

_PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
_CLOSERS = set(_PAIRS.values())
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Event:
    """The document after one key."""

    text: str
    offset: int
    kind: Kind


class _Editor:
    """A text, a cursor, and the closing signs that were put right of it by themselves."""

    def __init__(self, text: str, offset: int) -> None:
        self.text = text
        self.offset = offset
        self.pending: list[str] = []

    def insert(self, typed: str, behind: str = "") -> None:
        self.text = self.text[: self.offset] + typed + behind + self.text[self.offset :]
        self.offset += len(typed)

    def delete(self, count: int) -> None:
        self.text = self.text[: self.offset - count] + self.text[self.offset :]
        self.offset -= count

    def event(self, kind: Kind) -> Event:
        return Event(self.text, self.offset, kind)


def keys(text: str, start: int, end: int, seed: int = 0, typos: float = 0.04) -> Iterator[Event]:
    """Delete `[start, end)`, but for its last line end, and type it again, key by key."""
    rng = random.Random(seed)
    end -= text[start:end].endswith("\n")
    wanted = text[start:end]
    editor = _Editor(text[:start] + text[end:], start)
    yield editor.event("start")
    index = 0
    while index < len(wanted):
        char = wanted[index]
        if char == "\n":
            yield from _enter(editor, wanted, index)
            index += 1 + len(_indent_at(wanted, index + 1))
            continue
        yield from _type(editor, char, _next_word_char(wanted, index), rng, typos)
        index += 1


def _type(editor: _Editor, char: str, following: bool, rng: random.Random, typos: float) -> Iterator[Event]:
    if editor.pending and char == editor.pending[-1] and editor.text.startswith(char, editor.offset):
        editor.pending.pop()
        editor.offset += 1
        yield editor.event("overtype")
        return
    if char.isalpha() and rng.random() < typos:
        editor.insert(rng.choice(_LETTERS))
        yield editor.event("typo")
        editor.delete(1)
        yield editor.event("backspace")
    right = editor.text[editor.offset : editor.offset + 1]
    if char in _PAIRS and not following and (not right or right in " \n\t" or right in _CLOSERS):
        editor.insert(char, _PAIRS[char])
        editor.pending.append(_PAIRS[char])
        yield editor.event("autoclose")
        return
    editor.insert(char)
    yield editor.event("key")


def _enter(editor: _Editor, wanted: str, index: int) -> Iterator[Event]:
    """Enter keeps the line's indentation (one more after an opener); blanks are then taken away or added."""
    line = editor.text[editor.text.rfind("\n", 0, editor.offset) + 1 : editor.offset]
    unit = "\t" if line.startswith("\t") else "    "
    indent = line[: len(line) - len(line.lstrip())] + (
        unit if line.rstrip().endswith((":", "{", "(", "[")) else ""
    )
    between = bool(editor.pending) and editor.text.startswith(editor.pending[-1], editor.offset)
    opened = line.rstrip()[-1:] in ("{", "(", "[")
    editor.insert("\n" + indent, "\n" + line[: len(line) - len(line.lstrip())] if between and opened else "")
    if between and opened:
        editor.pending.pop()  # the closing sign now stands on a line of its own, which is typed over below
    yield editor.event("enter")
    goal = _indent_at(wanted, index + 1)
    if _blank_at(wanted, index + 1):
        goal = ""
    while not goal.startswith(_tail(editor)):
        editor.delete(min(len(unit), len(_tail(editor))))
        yield editor.event("dedent")
    for char in goal[len(_tail(editor)) :]:
        editor.insert(char)
        yield editor.event("key")
    yield from _meet_closer(editor, wanted, index)


def _meet_closer(editor: _Editor, wanted: str, index: int) -> Iterator[Event]:
    """A closing sign that auto-close left on the next line is deleted when it is about to be typed."""
    goal = wanted[index + 1 :].lstrip(" \t")[:1]
    below = editor.text[editor.offset :]
    stripped = below.lstrip()
    if goal in _CLOSERS and goal and below.startswith("\n") and stripped.startswith(goal):
        cut = len(below) - len(stripped) + 1
        if below[:cut].count("\n") == 1:
            editor.text = editor.text[: editor.offset] + editor.text[editor.offset + cut :]
            yield editor.event("overtype")


def _tail(editor: _Editor) -> str:
    return editor.text[editor.text.rfind("\n", 0, editor.offset) + 1 : editor.offset]


def _indent_at(text: str, index: int) -> str:
    end = index
    while end < len(text) and text[end] in " \t":
        end += 1
    return text[index:end]


def _blank_at(text: str, index: int) -> bool:
    end = index + len(_indent_at(text, index))
    return end >= len(text) or text[end] == "\n"


def _next_word_char(text: str, index: int) -> bool:
    following = text[index + 1 : index + 2]
    return text[index] in "\"'" and bool(text[index - 1 : index].isalnum()) and not following.isspace()
