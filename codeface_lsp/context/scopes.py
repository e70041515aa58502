"""What encloses a place: functions, classes, blocks.

Node types are recognised by the words that grammars agree on (`function_definition`, `method_declaration`,
`class_body`), so that one set of rules serves every language; no tree gives whole lines instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.context.syntax import Node, SyntaxTree

Kind = Literal["function", "class", "block", "statement", "lines"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTIONS = _words(
    """
    function_definition function_declaration function_item function_signature_item method_definition
    method_declaration method singleton_method constructor_declaration destructor_declaration constructor
    generator_function_declaration function_expression arrow_function local_function_statement
    local_function_declaration function_definition_statement secondary_constructor init_declaration
    deinit_declaration getter_declaration setter_declaration accessor_declaration lambda_literal
    func_literal create_function create_procedure function_statement value_definition function
    subroutine_declaration_statement macro_definition macro_rule test_declaration TestDecl fun_decl
    method_signature function_signature modifier_definition rpc abstract_method_signature
    protocol_function_declaration
    """
)
_CLASSES = _words(
    """
    class_definition class_declaration class class_specifier struct_specifier struct_item struct_declaration
    struct_definition union_item union_specifier enum_item enum_specifier enum_declaration
    interface_declaration trait_item trait_definition trait_declaration impl_item mod_item module
    module_definition namespace_definition namespace_declaration internal_module object_declaration
    object_definition protocol_declaration extension_definition record_declaration singleton_class type_spec
    companion_object abstract_class_declaration type_alias_declaration create_table data_type newtype
    instance class_implementation class_interface contract_declaration library_declaration enum_definition
    mixin_declaration message service enum abstract_definition type_item
    """
)
_WRAPPERS = _words(
    """
    decorated_definition export_statement template_declaration ambient_declaration type_declaration
    attributed_statement
    """
)
_NAMED_LIKE_OTHERS = {
    "haskell": frozenset({"module"}),
    "python": frozenset({"module"}),
    "proto": frozenset({"module"}),
    "swift": frozenset({"class"}),
}
"""Node types that define something in other languages only."""
_ELIXIR_FUNCTIONS = frozenset({"def", "defp", "defmacro", "defmacrop", "test"})
_ELIXIR_CLASSES = frozenset({"defmodule", "defprotocol", "defimpl"})
BLOCK = re.compile(
    r"^([Bb]lock|statement_block|compound_statement|do_block|body_statement|code_block|switch_body|LabeledStatement)$"
    r"|^(if|for|while|with|try|match|switch|foreach|unless|case|do|loop|select|using|lock|repeat|guard|when)"
    r"_(statement|expression|block)$|^(for_in_statement|for_range_loop|if_let_expression)$"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """A whole piece of code: `[start, end)` in code points, from its decorators to its last line.

    `body` is where its body starts (`end` if it has none); `signature` is what stands before the body.
    """

    kind: Kind
    name: str
    start: int
    end: int
    body: int
    signature: str
    docstring: str = ""


def enclosing(tree: SyntaxTree, start: int, end: int | None = None) -> list[Scope]:
    """Functions and classes around a place, outermost first."""
    scopes = [scope_of(tree, node) for node in tree.ancestors(start, end) if is_scope(tree, node)]
    return [scope for scope in reversed(scopes) if scope.start <= start and scope.end >= (end or start)]


def names(tree: SyntaxTree, offset: int) -> tuple[str, ...]:
    """Names of the enclosing scopes, outermost first."""
    return tuple(
        name
        for node in reversed(list(tree.ancestors(offset)))
        if is_scope(tree, node) and (name := name_of(tree, node))
    )


def smallest(tree: SyntaxTree | None, text: str, start: int, end: int) -> Scope:
    """The smallest whole scope around `[start, end)` that an edit can replace.

    A function or class if one is around it, else the statement at top level, else whole lines.
    """
    if tree is not None:
        first, last = _trim(text, start, end)
        for node in tree.ancestors(first, last):
            if is_scope(tree, node):
                return _whole_lines(tree, node, scope_of(tree, node))
        node = tree.node_at(first, last)
        while node.parent is not None and node.parent.parent is not None:
            node = node.parent
        if node.parent is not None and not node.is_error:
            return _whole_lines(tree, node, scope_of(tree, node))
    first, last = line_start(text, start), line_end(text, end)
    return Scope("lines", "", first, last, last, "")


def block(tree: SyntaxTree, start: int, end: int) -> Scope | None:
    """The smallest whole block statement (loop, condition, ...) or scope around a place."""
    for node in tree.ancestors(start, end):
        if is_scope(tree, node) or BLOCK.match(node.type):
            return scope_of(tree, node)
    return None


def is_scope(tree: SyntaxTree, node: Node) -> bool:
    """Whether a node defines a function or something that holds functions."""
    return scope_kind(node, tree.grammar) is not None


def scope_kind(node: Node, grammar: str = "") -> Kind | None:
    """`function`, `class`, or None if the node is no scope."""
    kind = node.type
    if not node.is_named or node.parent is None or kind in _NAMED_LIKE_OTHERS.get(grammar, ()):
        return None
    if kind in _FUNCTIONS:
        return "function" if grammar != "haskell" or node.parent.type != "signature" else None
    if kind in _CLASSES:
        return "class"
    if kind == "call" and grammar == "elixir":
        return _elixir_kind(node)
    return _zig_kind(node) if kind == "Decl" else None


def _elixir_kind(node: Node) -> Kind | None:
    target = node.child_by_field_name("target")
    word = (target.text or b"").decode() if target is not None else ""
    if word in _ELIXIR_FUNCTIONS:
        return "function"
    return "class" if word in _ELIXIR_CLASSES else None


def _zig_kind(node: Node) -> Kind | None:
    types = {child.type for child in node.named_children}
    if "FnProto" in types:
        return "function"
    return "class" if b"struct" in (node.text or b"")[:200] and "VarDecl" in types else None


def scope_of(tree: SyntaxTree, node: Node) -> Scope:
    """Describe a node, its decorators and `export` included."""
    outer = node
    while outer.parent is not None and outer.parent.type in _WRAPPERS:
        outer = outer.parent
    start, end = tree.span(outer)
    body = _body(node)
    body_start = end if body is None else tree.span(body)[0]
    kind: Kind = scope_kind(node, tree.grammar) or ("block" if BLOCK.match(node.type) else "statement")
    signature = tree.text[start:body_start].rstrip().removesuffix("{").rstrip()
    return Scope(kind, name_of(tree, node), start, end, body_start, signature, docstring(tree, outer, body))


def name_of(tree: SyntaxTree, node: Node) -> str:
    """The name that a scope defines, or an empty string."""
    found = _name_node(tree, node)
    return "" if found is None else tree.text_of(found).strip()


def docstring(tree: SyntaxTree, node: Node, body: Node | None) -> str:
    """The documentation of a definition: the string that opens its body, or the comments right before it."""
    if tree.grammar == "python":
        first = body.named_child(0) if body is not None and body.named_child_count else None
        if first is not None and first.type == "expression_statement" and first.named_child_count:
            first = first.named_child(0)
        return tree.text_of(first) if first is not None and first.type == "string" else ""
    comments: list[str] = []
    before, row = node.prev_sibling, node.start_point[0]
    while before is not None and "comment" in before.type and row - before.end_point[0] <= 1:
        comments.append(tree.text_of(before).rstrip())
        row, before = before.start_point[0], before.prev_sibling
    return "\n".join(reversed(comments))


def _name_node(tree: SyntaxTree, node: Node) -> Node | None:
    if tree.grammar == "elixir" and node.type == "call":
        arguments = next((child for child in node.named_children if child.type == "arguments"), None)
        head = arguments.named_child(0) if arguments is not None else None
        while head is not None and head.type in ("call", "binary_operator"):
            head = (
                head.child_by_field_name("target") or head.child_by_field_name("left") or head.named_child(0)
            )
        return head
    if node.type == "Decl":
        head = node.named_child(0)
        return (
            next((c for c in head.named_children if c.type == "IDENTIFIER"), None)
            if head is not None
            else None
        )
    for field in ("name", "declarator", "type", "trait", "head"):
        named = node.child_by_field_name(field)
        while named is not None and named.child_by_field_name("declarator") is not None:
            named = named.child_by_field_name("declarator")
        if named is not None:
            return named
    for child in node.named_children:
        if child.type in (
            "signature",
            "type_head",
            "object_reference",
            "call_expression",
            "variable_declarator",
        ):
            return _name_node(tree, child) or child
        if child.type.endswith(("identifier", "variable", "constant", "word", "name")):
            return child
    return None


def _body(node: Node) -> Node | None:
    body = node.child_by_field_name("body")
    if body is not None:
        return body
    return next(
        (
            c
            for c in node.named_children
            if c.type.endswith(("_body", "block", "Block", "_list"))
            and "parameter" not in c.type
            and "argument" not in c.type
            and "modifier" not in c.type
        ),
        None,
    )


def _whole_lines(tree: SyntaxTree, node: Node, scope: Scope) -> Scope:
    """The scope with its indentation, so that replaced text can start at column 0."""
    start = line_start(tree.text, scope.start)
    if tree.text[start : scope.start].strip():
        return scope
    return Scope(scope.kind, scope.name, start, scope.end, scope.body, scope.signature, scope.docstring)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Shrink a range by the white space at its ends; an empty one moves to its line's first character."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        line = line_start(text, start)
        first = (
            line + len(text[line : line_end(text, start)]) - len(text[line : line_end(text, start)].lstrip())
        )
        start = end = min(max(start, first), line_end(text, start))
    return start, end


def line_start(text: str, offset: int) -> int:
    """Offset of the first character of the line at `offset`."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Offset of the end of the line at `offset`, before its line end."""
    found = text.find("\n", offset)
    return len(text) if found < 0 else found
