"""Slash commands: what a message that begins with one sends to the model instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rapidfuzz import process

from codeface_lsp.errors import CodeFaceError

COMMANDS: dict[str, str] = {
    "explain": "explain the selected code",
    "fix": "correct the selected code, with its diagnostics",
    "tests": "write tests for the selected code",
    "doc": "document the selected code",
    "refactor": "rewrite the selected code as the text behind the command says",
    "search": "answer a question from the workspace, with references",
    "lesson": "a plan, an explanation and exercises about the selected code",
    "model": "show which models there are and which one answers",
    "clear": "forget this conversation",
}

_COMMAND = re.compile(r"\s*/([a-z]+)\b[ \t]*((?:.|\n)*)")


@dataclass(frozen=True, slots=True)
class Slash:
    """A command and the text behind it."""

    name: str
    text: str


def parse(message: str) -> Slash | None:
    """The slash command that a message begins with, None if it is plain. Raises `CodeFaceError` for an unknown one."""
    found = _COMMAND.match(message)
    if found is None:
        return None
    if found[1] not in COMMANDS:
        nearest = process.extractOne(found[1], list(COMMANDS))
        hint = f"did you mean `/{nearest[0]}`?" if nearest else ""
        raise CodeFaceError(f"There is no command `/{found[1]}`; {hint}", kind="unknown_command")
    return Slash(found[1], found[2].strip())
