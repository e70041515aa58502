"""Which code a request is about: the selection grown to whole lines, or the smallest whole scope at the cursor.

Cut to a budget in tokens from its end, at a line, so that a selection of 20,000 lines asks about its beginning
and says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from codeface_lsp.context import languages, scopes
from codeface_lsp.context.parts import Budget, ExtraContext, Source, TokenCounter
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.errors import DocumentError
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a prompt a text may take."""

    tokens: int
    counter: TokenCounter

    def cut(self, text: str) -> tuple[str, int]:
        """The beginning of `text` that fits, whole lines of it, and the number of lines that were left out."""
        if (
            len(text) <= self.tokens or self.counter.count(text) <= self.tokens
        ):  # a token has at least one character
            return text, 0
        lines = text.splitlines(keepends=True)
        spent = kept = 0
        for line in lines:
            spent += self.counter.count(line)
            if spent > self.tokens:
                break
            kept += 1
        kept = max(kept, 1)
        return "".join(lines[:kept])[: 8 * self.tokens], len(lines) - kept


def of_selection(tree: SyntaxTree | None, snapshot: Snapshot, start: int, end: int) -> tuple[int, int]:
    """The range that a selection means: its whole lines, or, empty, the smallest whole scope around it.

    Raises `DocumentError` if there is no code there.
    """
    text, lines = snapshot.text, snapshot.lines
    if text[start:end].strip():
        last = end - 1 if text[end - 1] in "\r\n" else end
        start, end = lines.starts[lines.line_at(start)], lines.line_end(lines.line_at(last))
    else:
        scope = scopes.smallest(tree, text, start, end)
        start, end = scope.start, scope.end
    if not text[start:end].strip():
        raise DocumentError(
            "There is no code at the cursor; select some and try again.", kind="empty_selection"
        )
    return start, end


def definitions(
    workspace: Workspace, snapshot: Snapshot, offset: int, tokens: int, counter: TokenCounter
) -> tuple[ExtraContext, ...]:
    """Definitions of the names in sight at `offset`, best first, at most `tokens` tokens of them."""
    parts = workspace.build(snapshot, offset, Budget(total=tokens + 256, extra=tokens, suffix=64), counter)
    return tuple(piece for piece in parts.extra if piece.source is Source.DEFINITION)


def untitled(snapshot: Snapshot) -> str:
    """Name of a document that has no file."""
    return f"untitled.{extension(snapshot.language)}"


def shown_path(workspace: Workspace, snapshot: Snapshot) -> str:
    """The document's path as the model sees it: relative to its workspace root, never an absolute one."""
    if snapshot.path is None:
        return untitled(snapshot)
    return workspace.relative(snapshot.path)


def extension(language_id: str) -> str:
    """The usual file extension of a language, `txt` for unknown ones."""
    language = languages.by_id(language_id)
    return language.extensions[0] if language else "txt"


def check_allowed(workspace: Workspace, snapshot: Snapshot) -> None:
    """Raise `DocumentError` if no model may see this document."""
    if reason := workspace.excluded(snapshot.path):
        raise DocumentError(f"CodeFace does not show this file to a model: {reason}.", kind="excluded")
