"""Definitions in a file, found with tree-sitter queries of our own: what the symbol index is made of.

Where a language has no queries, a file has no definitions: it is still found by its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.context.syntax import Node, SyntaxTree, compile_query
from codeface_lsp.context.tag_queries import QUERIES

Kind = Literal["function", "class", "variable", "type", "module"]
KINDS: tuple[Kind, ...] = ("function", "class", "variable", "type", "module")


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition in a file; lines count from 0, `body` is the line of its body (`end` + 1 if it has none)."""

    name: str
    kind: Kind
    parent: str
    """Name of the class (or function) around it, empty at the top level."""
    parent_kind: Kind | None
    start: int
    body: int
    end: int


def definitions(tree: SyntaxTree) -> list[Definition]:
    """Definitions of a file in the order of their lines."""
    source = QUERIES.get(tree.grammar, "")
    if not source.strip():
        return []
    found: list[tuple[int, int, str, Kind, Node]] = []
    for name, kind, node in _captures(tree, source):
        found.append((node.start_byte, -node.end_byte, name, kind, node))
    found.sort(key=lambda item: item[:2])
    return list(_nested(tree, found))


def _captures(tree: SyntaxTree, source: str) -> Iterator[tuple[str, Kind, Node]]:
    for _, captures in tree.query(compile_query(tree.grammar, source)):
        for statement in captures.get("branches", ()):
            yield from _assigned(statement)
        names = captures.get("name")
        if not names:
            continue
        name = (names[0].text or b"").decode("utf-8", "replace").strip()
        for kind in KINDS:
            if kind in captures:
                yield name, kind, captures[kind][0]


def _assigned(statement: Node) -> Iterator[tuple[str, Kind, Node]]:
    """What Python's `if` and `try` assign in their branches; not what statements inside of these do."""
    for part in statement.named_children:
        for block in part.named_children if part.type.endswith("_clause") else (part,):
            for node in block.named_children if block.type == "block" else ():
                left = node.child_by_field_name("left") if node.type == "assignment" else None
                if left is not None and left.type == "identifier":
                    yield (left.text or b"").decode("utf-8", "replace"), "variable", node


def _nested(tree: SyntaxTree, found: list[tuple[int, int, str, Kind, Node]]) -> Iterator[Definition]:
    around: list[tuple[int, str, Kind]] = []
    seen: set[tuple[int, str]] = set()
    for start, negative_end, full, kind, node in found:
        while around and around[-1][0] <= start:
            around.pop()
        parent, parent_kind = (around[-1][1], around[-1][2]) if around else ("", None)
        owner, name = _split(tree.grammar, full)
        if (start, name) in seen or not name or len(name) > 200:
            continue
        seen.add((start, name))
        outer = (
            node.parent if node.parent is not None and node.parent.type == "decorated_definition" else node
        )
        body = node.child_by_field_name("body")
        end = node.end_point[0] - (node.end_point[1] == 0 and node.end_point[0] > node.start_point[0])
        body_line = end + 1
        if body is not None:
            body_line = body.start_point[0] if tree.grammar == "python" else body.start_point[0] + 1
            body_line = (
                max(body_line, node.start_point[0] + 1) if body_line <= node.start_point[0] else body_line
            )
        yield Definition(
            name,
            kind,
            owner or parent,
            "class" if owner else parent_kind,
            outer.start_point[0],
            body_line,
            end,
        )
        if kind != "variable":
            around.append((-negative_end, name, kind))


def _split(grammar: str, full: str) -> tuple[str, str]:
    """`(owner, name)` of a qualified name such as `A::m` or `M.foo`."""
    if grammar in ("cpp", "lua", "sql", "perl"):
        for separator in ("::", ":", "."):
            if separator in full:
                owner, _, name = full.rpartition(separator)
                return owner.rpartition(separator)[2], name
    return "", full.strip("\"'`[]")
