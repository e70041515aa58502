"""A definition got another name: its uses still have the old one."""

from __future__ import annotations

import re

from codeface_lsp.assist.next_edit import names
from codeface_lsp.assist.next_edit.history import Change
from codeface_lsp.assist.next_edit.names import is_scope
from codeface_lsp.context.syntax import Node, SyntaxTree
from codeface_lsp.text.edits import TextEdit

_NAME = re.compile(r"[^\W\d]\w*\Z")
_OWN = re.compile(r"(self|cls|this)\Z")
_CLASS = re.compile(r"class|impl|struct|interface|trait|object")


def edits(tree: SyntaxTree, change: Change) -> list[TextEdit]:
    """Edits that finish a rename; none unless the old name means nothing any more where it still stands."""
    old, new = change.old, change.new
    if not _NAME.match(old) or not _NAME.match(new) or tree.has_error:
        return []
    node = tree.node_at(change.start, change.end)
    if tree.span(node) != (change.start, change.end):
        return []
    scope = names.binding_scope(node)
    if scope is None:
        return []
    if _is_class(scope):
        return _own_members(tree, scope, old, new)
    if names.visible(tree, node, old):
        return []
    found: list[TextEdit] = []
    for use in names.identifiers(tree, scope, old):
        if names.is_member(use) or _shadowed(tree, use, scope, old):
            continue
        if names.enclosing_scope(use).id != scope.id and names.bound_in(
            tree, names.enclosing_scope(use), new
        ):
            return []  # the new name means something else there
        found.append(TextEdit(*tree.span(use), new))
    return found


def _is_class(scope: Node) -> bool:
    return is_scope(scope) and bool(_CLASS.search(scope.type))


def _own_members(tree: SyntaxTree, scope: Node, old: str, new: str) -> list[TextEdit]:
    """Uses of a renamed method or class variable through `self`, unless the old one is still defined too."""
    found: list[TextEdit] = []
    for use in names.identifiers(tree, scope, old):
        bound = names.binding_scope(use)
        if bound is not None and bound.id == scope.id:
            return []
        owner = use.prev_sibling.prev_sibling if use.prev_sibling is not None else None
        if not names.is_member(use) or owner is None or not _OWN.match(tree.text_of(owner)):
            continue
        if _assigned(use):
            return []
        found.append(TextEdit(*tree.span(use), new))
    return found


def _assigned(use: Node) -> bool:
    """Whether `self.name` is the target of an assignment, and so defines another thing of that name."""
    parent = use.parent
    return parent is not None and names.field_of(parent) == "left"


def _shadowed(tree: SyntaxTree, use: Node, scope: Node, name: str) -> bool:
    inner = names.enclosing_scope(use)
    while inner.id != scope.id and inner.parent is not None:
        if names.bound_in(tree, inner, name):
            return True
        inner = names.enclosing_scope(inner)
    return False
