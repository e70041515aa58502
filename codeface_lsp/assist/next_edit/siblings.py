"""A line was changed in one branch: the same line stands in a sibling branch."""

from __future__ import annotations

import re

from codeface_lsp.assist.next_edit.history import Change
from codeface_lsp.context.syntax import Node, SyntaxTree
from codeface_lsp.text.edits import TextEdit

_BRANCHING = re.compile(
    r"^(if_statement|if_expression|match_statement|match_expression|switch_statement|switch_expression|try_statement|when_expression|case_statement)$"
)
_SHORTEST = 8


def edits(tree: SyntaxTree, change: Change) -> list[TextEdit]:
    """The same change on equal lines of the other branches, the nearest statement that branches only."""
    if "\n" in change.old or "\n" in change.new or tree.has_error:
        return []
    start, end = _line(tree.text, change.start)
    if change.end > end:
        return []
    new = tree.text[start:end]
    old = new[: change.start - start] + change.old + new[change.end - start :]
    if len(old.strip()) < _SHORTEST or len(new.strip()) < _SHORTEST or old.strip() == new.strip():
        return []
    if _is_prefix_of_typing(change):
        return []
    outer = _branching(tree, change.start)
    if outer is None:
        return []
    first, last = tree.span(outer)
    found: list[TextEdit] = []
    at = first
    while at < last:
        line_start, line_end = _line(tree.text, at)
        if tree.text[line_start:line_end] == old:
            found.append(
                TextEdit(
                    line_start + change.start - start,
                    line_start + change.start - start + len(change.old),
                    change.new,
                )
            )
        at = line_end + 1
    return found


def _is_prefix_of_typing(change: Change) -> bool:
    """A line that is being written for the first time is no change of one."""
    return not change.old.strip() and not change.before[change.start - 1 : change.start].strip()


def _branching(tree: SyntaxTree, offset: int) -> Node | None:
    """The whole statement of branches around a place: an `else if` belongs to the first `if`."""
    found: Node | None = None
    for node in tree.ancestors(offset):
        if _BRANCHING.match(node.type):
            if found is not None and not (
                node.type == found.type
                and found.parent is not None
                and found.parent.type in ("else_clause", node.type)
            ):
                break
            found = node
    return found


def _line(text: str, offset: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return start, len(text) if end < 0 else end
