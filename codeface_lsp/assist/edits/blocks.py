"""A code block of a chat answer, put into a file: over the definition of the same name, as a vetted edit."""

from __future__ import annotations

from codeface_lsp.assist.edits import imports, vetting
from codeface_lsp.assist.edits.candidate import Problem, definitions
from codeface_lsp.assist.edits.proposal import Proposal
from codeface_lsp.context import scopes, syntax
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.errors import EditRefused
from codeface_lsp.prompting.code_blocks import reindent
from codeface_lsp.text import edits as text_edits
from codeface_lsp.text.diff import minimal_edits
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

_TITLE = "apply to file"


def matched(tree: SyntaxTree | None, snapshot: Snapshot, code: str, start: int, end: int) -> Proposal:
    """The edit that puts `code` where it belongs in the document. Raises `EditRefused`."""
    text, language = snapshot.text, snapshot.language
    wanted, rest = imports.split(code, "", language)
    changes = _over_same_names(tree, snapshot, rest) or _over_selection(text, rest, start, end)
    after = text_edits.apply(text, changes)
    if (added := imports.insertion(after, wanted, language)) is not None:
        after = text_edits.apply(after, [added])
    try:
        vetting.check_syntax(text, after, rest, language)
    except Problem as problem:
        raise EditRefused(f"The block was not applied, because the file {problem}.") from problem
    edits = tuple(minimal_edits(text, after))
    if not edits:
        raise EditRefused("The file has this code already.")
    return Proposal(_TITLE, snapshot, edits)


def inserted(snapshot: Snapshot, code: str, offset: int) -> Proposal:
    """The edit that inserts `code` as lines of their own below the line of `offset`, indented like that line."""
    line = snapshot.lines.line_at(offset)
    at = snapshot.lines.starts[line + 1] if line + 1 < len(snapshot.lines) else len(snapshot.text)
    like = snapshot.lines.line(line) or "x"
    newline = "\r\n" if "\r\n" in snapshot.text else "\n"
    block = reindent(code, like + newline)
    if at == len(snapshot.text) and snapshot.text and not snapshot.text.endswith(("\n", "\r")):
        block = newline + block
    return Proposal("insert at cursor", snapshot, (TextEdit(at, at, block),))


def _over_same_names(tree: SyntaxTree | None, snapshot: Snapshot, code: str) -> list[TextEdit]:
    """Each top-level definition of the block over the one definition of its kind and name in the file."""
    block = syntax.parse(code, snapshot.language)
    if tree is None or block is None:
        return []
    changes: list[TextEdit] = []
    for scope in _outermost(definitions(block)):
        same = [s for s in definitions(tree) if s.name == scope.name and s.kind == scope.kind]
        if len(same) != 1:
            return []
        start = snapshot.text.rfind("\n", 0, same[0].start) + 1
        old = snapshot.text[start : same[0].end]
        first = code.rfind("\n", 0, scope.start) + 1
        changes.append(TextEdit(start, same[0].end, reindent(code[first : scope.end], old)))
    return changes


def _over_selection(text: str, code: str, start: int, end: int) -> list[TextEdit]:
    if not text[start:end].strip():
        raise EditRefused(
            "Nothing in the file has the name that this block defines; use “insert at cursor” instead.",
            kind="no_match",
        )
    first = text.rfind("\n", 0, start) + 1
    return [TextEdit(first, end, reindent(code, text[first:end]))]


def _outermost(found: list[scopes.Scope]) -> list[scopes.Scope]:
    return [s for s in found if not any(o is not s and o.start <= s.start and s.end <= o.end for o in found)]
