"""What a file imports, where the language says it in its syntax: Python and the JavaScript family."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from codeface_lsp.context.syntax import Node, SyntaxTree, compile_query


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: `local` in this file is `name` of `module`, or `module` itself if `name` is None.

    `module` is dotted with leading dots for relative ones in Python, a path in JavaScript.
    """

    local: str
    module: str
    name: str | None


_PYTHON = """
(import_statement) @import
(import_from_statement) @import
"""
_JS_CLAUSE = re.compile(r"(?:type\s+)?(\w+|\*|default)(?:\s+as\s+(\w+))?")


def imports(tree: SyntaxTree) -> list[Import]:
    """All imports of a file, those inside functions too."""
    if tree.grammar == "python":
        nodes = [captures["import"][0] for _, captures in tree.query(compile_query("python", _PYTHON))]
        return [found for node in nodes for found in _python(tree, node)]
    if tree.grammar in ("javascript", "typescript", "tsx"):
        return [
            found
            for node in tree.root.named_children
            if node.type == "import_statement"
            for found in _javascript(tree.text_of(node))
        ]
    return []


def _python(tree: SyntaxTree, node: Node) -> Iterator[Import]:
    if node.type == "import_statement":
        for child in node.children_by_field_name("name"):
            path, alias = _aliased(tree, child)
            yield Import(alias or path, path, None)
        return
    module = node.child_by_field_name("module_name")
    if module is None:
        return
    source = "".join(tree.text_of(module).split())
    for child in node.children_by_field_name("name"):
        name, alias = _aliased(tree, child)
        yield Import(alias or name, source, name)
    if any(child.type == "wildcard_import" for child in node.named_children):
        yield Import("*", source, None)


def _aliased(tree: SyntaxTree, node: Node) -> tuple[str, str | None]:
    if node.type == "aliased_import":
        name, alias = node.child_by_field_name("name"), node.child_by_field_name("alias")
        return tree.text_of(name) if name else "", tree.text_of(alias) if alias else None
    return tree.text_of(node), None


def _javascript(statement: str) -> Iterator[Import]:
    found = re.match(r"import\s+(.*?)\s*(?:from\s*)?[\"']([^\"']+)[\"']", statement, re.DOTALL)
    if found is None:
        return
    clause, module = found.groups()
    braces = re.search(r"\{(.*?)\}", clause, re.DOTALL)
    if braces:
        for name, alias in _JS_CLAUSE.findall(braces[1]):
            yield Import(alias or name, module, name)
    for name, alias in _JS_CLAUSE.findall(re.sub(r"\{.*?\}", "", clause, flags=re.DOTALL)):
        if name not in ("type", "as"):
            yield Import(alias or name, module, None if name == "*" else name)
