"""A function got one more required parameter: its callers in the file lack the argument."""

from __future__ import annotations

import re
from collections.abc import Iterator

from codeface_lsp.assist.next_edit import names
from codeface_lsp.assist.next_edit.history import Change
from codeface_lsp.assist.next_edit.names import is_scope
from codeface_lsp.context.syntax import Node, SyntaxTree
from codeface_lsp.text.edits import TextEdit

_CALL = re.compile(
    r"^(call|call_expression|method_invocation|function_call_expression|invocation_expression)$"
)
_RECEIVER = re.compile(r"(self|cls|this|&self|&mut self)\Z")
_PLAIN = re.compile(r"(?:mut\s+)?([^\W\d]\w*)\s*(?::.*)?\Z", re.DOTALL)


def edits(tree: SyntaxTree, change: Change) -> list[TextEdit]:
    """Edits that hand the new parameter on where a value of the same name is at hand."""
    if tree.has_error:
        return []
    function = next((n for n in tree.ancestors(change.start, change.end) if is_scope(n)), None)
    if function is None:
        return []
    parameters = function.child_by_field_name("parameters")
    name_node = function.child_by_field_name("name")
    if parameters is None or name_node is None:
        return []
    start, end = tree.span(parameters)
    if not (start < change.start and change.end < end):
        return []
    now = [tree.text_of(child) for child in _items(parameters)]
    before = _items_of_text(change.before[start : end + len(change.before) - len(tree.text)])
    place = _added(before, now)
    if place is None:
        return []
    match = _PLAIN.match(now[place])
    if match is None:
        return []
    method = bool(now) and bool(_RECEIVER.match(now[0]))
    position = place - method
    return list(
        _at_callers(tree, function, tree.text_of(name_node), match.group(1), position, len(before) - method)
    )


def _at_callers(
    tree: SyntaxTree, function: Node, name: str, argument: str, position: int, arity: int
) -> Iterator[TextEdit]:
    """An insertion at each call that has the old number of plain arguments."""
    scope = names.enclosing_scope(function)
    definitions = [
        node
        for node in names.identifiers(tree, tree.root, name)
        if names.field_of(node) == "name" and node.parent is not None and is_scope(node.parent)
    ]
    if len(definitions) != 1:
        return
    for use in names.identifiers(tree, tree.root, name):
        call = _call_of(tree, use, in_class=scope.parent is not None)
        if call is None:
            continue
        arguments = call.child_by_field_name("arguments")
        if arguments is None or arguments.type == "generator_expression":
            continue
        given = _items(arguments)
        texts = [tree.text_of(item) for item in given]
        if len(given) != arity or any(
            "=" in text.split("(")[0] or text.startswith(("*", "...")) for text in texts
        ):
            continue
        if not names.visible(tree, call, argument) or _within(call, function):
            continue
        yield _insertion(tree, arguments, given, position, argument)


def _call_of(tree: SyntaxTree, use: Node, *, in_class: bool) -> Node | None:
    """The call whose function is this name; of a method, only through the object itself."""
    callee = use
    if names.is_member(use):
        callee = use.parent or use
        owner = callee.children[0] if callee.children else None
        if not in_class or owner is None or not _RECEIVER.match(tree.text_of(owner)):
            return None
    elif in_class:
        return None
    parent = callee.parent
    if parent is not None and _CALL.match(parent.type) and names.field_of(callee) in ("function", "name"):
        return parent
    return None


def _within(node: Node, outer: Node) -> bool:
    return outer.start_byte <= node.start_byte and node.end_byte <= outer.end_byte


def _insertion(tree: SyntaxTree, arguments: Node, given: list[Node], position: int, text: str) -> TextEdit:
    if not given:
        at = tree.span(arguments)[0] + 1
        return TextEdit(at, at, text)
    if position < len(given):
        at = tree.span(given[position])[0]
        return TextEdit(at, at, f"{text}, ")
    at = tree.span(given[-1])[1]
    return TextEdit(at, at, f", {text}")


def _items(node: Node) -> list[Node]:
    return [child for child in node.named_children if "comment" not in child.type]


def _items_of_text(parameters: str) -> list[str]:
    """Parameters of a list in parentheses, split at the outer commas."""
    inner = parameters.strip()[1:-1]
    items, depth, start = [], 0, 0
    for index, sign in enumerate(inner):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            items.append(inner[start:index])
            start = index + 1
    return [item.strip() for item in [*items, inner[start:]] if item.strip()]


def _added(before: list[str], now: list[str]) -> int | None:
    """Index of the one parameter that is new, the others being the same in order."""
    if len(now) != len(before) + 1:
        return None
    for place in range(len(now)):
        if now[:place] + now[place + 1 :] == before:
            return place
    return None
