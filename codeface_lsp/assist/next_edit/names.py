"""Names in a syntax tree: where one is bound, and where it is used. Any grammar with the usual field names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from codeface_lsp.context.scopes import scope_kind
from codeface_lsp.context.syntax import Node, SyntaxTree

_IDENTIFIER = re.compile(r"identifier$|^variable_name$|^simple_identifier$")
_PARAMETERS = re.compile(r"^(formal_|lambda_|function_value_)?parameter(s|_list)$|^closure_parameters$")
_BINDING_FIELDS = frozenset({"left", "name", "pattern", "alias"})
_BINDING_PARENTS = re.compile(
    r"assignment|declarator|declaration|for_statement|for_in|named_expression|with_item|as_pattern|let_|for_range"
)
_MEMBER_FIELDS = frozenset({"attribute", "property", "field", "member"})


def identifiers(tree: SyntaxTree, scope: Node, name: str) -> Iterator[Node]:
    """All identifiers of that name within a node, in order."""
    stack = [scope]
    wanted = name.encode()
    while stack:
        node = stack.pop()
        if node.child_count == 0 and node.text == wanted and _IDENTIFIER.search(node.type):
            yield node
        stack.extend(reversed(node.children))


def is_scope(node: Node) -> bool:
    """Whether a node is a function or a class."""
    return scope_kind(node) is not None


def field_of(node: Node) -> str | None:
    """The field name under which a node hangs on its parent."""
    parent = node.parent
    if parent is None:
        return None
    for index, child in enumerate(parent.children):
        if child.id == node.id:
            return parent.field_name_for_child(index)
    return None


def is_member(node: Node) -> bool:
    """Whether the name is looked up in an object (`x.name`), or names a keyword argument."""
    parent = node.parent
    if parent is None:
        return False
    if parent.type in ("keyword_argument", "pair", "named_argument") and field_of(node) in ("name", "key"):
        return True
    return field_of(node) in _MEMBER_FIELDS or node.type in ("property_identifier", "field_identifier")


def binding_scope(node: Node) -> Node | None:
    """The scope in which this very occurrence binds its name: for good, by definition; None if it binds none."""
    parent = node.parent
    if parent is None or is_member(node):
        return None
    if is_scope(parent) and field_of(node) == "name":
        return enclosing_scope(parent)
    above: Node | None = parent
    for _ in range(3):
        if above is None or is_scope(above):
            break
        if _PARAMETERS.match(above.type):
            return (
                None
                if field_of(node) in ("value", "type") or parent.type == "type"
                else enclosing_scope(node)
            )
        above = above.parent
    if _BINDING_PARENTS.search(parent.type) and field_of(node) in _BINDING_FIELDS:
        return enclosing_scope(parent)
    return None


def enclosing_scope(node: Node) -> Node:
    """The innermost function or class around a node, else the root."""
    current = node
    while current.parent is not None:
        current = current.parent
        if is_scope(current):
            return current
    return current


def bound_in(tree: SyntaxTree, scope: Node, name: str) -> bool:
    """Whether a name is bound directly in a scope, or imported there."""
    for node in identifiers(tree, scope, name):
        bound = binding_scope(node)
        if bound is not None and bound.id == scope.id:
            return True
        if _imported(node):
            return True
    return False


def _imported(node: Node) -> bool:
    current = node.parent
    for _ in range(4):
        if current is None:
            return False
        if "import" in current.type or current.type == "use_declaration":
            return True
        current = current.parent
    return False


def visible(tree: SyntaxTree, node: Node, name: str) -> bool:
    """Whether a name is bound in any scope around a node."""
    scope = enclosing_scope(node)
    while True:
        if bound_in(tree, scope, name):
            return True
        if scope.parent is None:
            return False
        scope = enclosing_scope(scope)
