"""What a parse tree knows for certain about a piece of code, without any model.

Signature, parameters, what is called and raised, and McCabe's cyclomatic complexity (1976: decisions + 1). Node types
are recognised by the words that grammars agree on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from codeface_lsp.context import scopes
from codeface_lsp.context.syntax import Node, SyntaxTree

_CALL = re.compile(
    r"^(call|call_expression|method_invocation|invocation_expression|function_call|macro_invocation)$"
)
_CALL_FIELDS = ("function", "method", "name", "macro", "target")
_RAISE = re.compile(r"^(raise_statement|throw_statement|throw_expression)$")
_DECISION = re.compile(
    r"^(if_statement|if_expression|elif_clause|for_statement|for_in_statement|for_expression|while_statement"
    r"|while_expression|do_statement|except_clause|catch_clause|case_clause|switch_case|case_statement"
    r"|match_arm|expression_case|type_case|communication_case|conditional_expression|ternary_expression"
    r"|if_clause|for_in_clause|foreach_statement|enhanced_for_statement|guard_statement|unless|if|elsif|while|until)$"
)
_BOOLEAN = re.compile(r"^(boolean_operator|binary_expression|binary_operator)$")
_BOOLEAN_SIGNS = frozenset({"and", "or", "&&", "||", "??"})
_NOT_PARAMETERS = re.compile(r"comment|^(keyword_separator|positional_separator)$")
_MOST = 12


@dataclass(frozen=True, slots=True)
class Facts:
    """Certain facts about one function, class, or stretch of code."""

    kind: str
    name: str
    signature: str
    parameters: tuple[str, ...]
    calls: tuple[str, ...]
    raises: tuple[str, ...]
    members: tuple[str, ...]
    complexity: int
    lines: int
    docstring: str


def of_range(tree: SyntaxTree, start: int, end: int) -> Facts:
    """Facts about the smallest whole scope around a range."""
    scope = scopes.smallest(tree, tree.text, start, end)
    node = _node_of(tree, scope)
    inside = list(_own(tree, node))
    members = tuple(_signatures(tree, node)) if scope.kind == "class" else ()
    return Facts(
        kind=scope.kind,
        name=scope.name,
        signature=_one_line(scope.signature),
        parameters=_parameters(tree, node),
        calls=_unique(_callee(tree, n) for n in inside if _CALL.match(n.type)),
        raises=_unique(_raised(tree, n) for n in inside if _RAISE.match(n.type)),
        members=members,
        complexity=1 + sum(_decides(n) for n in inside),
        lines=tree.text.count("\n", scope.start, scope.end) + (not tree.text[: scope.end].endswith("\n")),
        docstring=scope.docstring,
    )


def markdown(facts: Facts, language: str, human: str = "en") -> str:
    """Facts as a Markdown list; `language` tags the signature, `human` is `en` or `zh`."""
    words = _WORDS[human]
    lines: list[str] = []
    if facts.signature and facts.kind in ("function", "class"):
        lines += [f"```{language}", facts.signature, "```", ""]
    for label, values in (
        ("parameters", facts.parameters),
        ("members", facts.members),
        ("calls", facts.calls),
        ("raises", facts.raises),
    ):
        if values:
            shown = ", ".join(f"`{value}`" for value in values[:_MOST])
            more = f" {words['more'].format(len(values) - _MOST)}" if len(values) > _MOST else ""
            lines.append(f"- {words[label]}: {shown}{more}")
    size = words["line"] if facts.lines == 1 else words["size"].format(facts.lines)
    lines.append(f"- {size}, {words['complexity'].format(facts.complexity)}")
    if facts.docstring:
        lines.append(f"- {words['docstring']}: {_one_line(facts.docstring.strip(chr(34) + chr(39)))[:300]}")
    return "\n".join(lines)


_WORDS = {
    "en": {
        "parameters": "Parameters",
        "members": "Members",
        "calls": "Calls",
        "raises": "Raises",
        "line": "1 line",
        "size": "{} lines",
        "complexity": "cyclomatic complexity {}",
        "docstring": "Its own documentation",
        "more": "and {} more",
    },
    "zh": {
        "parameters": "参数",
        "members": "成员",
        "calls": "调用",
        "raises": "抛出",
        "line": "1 行",
        "size": "{} 行",
        "complexity": "圈复杂度 {}",
        "docstring": "自带文档",
        "more": "等另外 {} 项",
    },
}


def _node_of(tree: SyntaxTree, scope: scopes.Scope) -> Node:
    text = tree.text[scope.start : scope.end]
    start = scope.start + len(text) - len(text.lstrip())
    end = scope.start + len(text.rstrip())
    if scope.kind in ("function", "class"):
        for node in _walk(tree.node_at(start, max(start, end - 1))):
            if scopes.is_scope(tree, node) and scopes.name_of(tree, node) == scope.name:
                return node
    return tree.node_at(start, end)


def _walk(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.children))


def _own(tree: SyntaxTree, root: Node) -> Iterator[Node]:
    """Nodes under `root`, named functions and classes inside it apart (they have facts of their own)."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack += [c for c in node.children if not (scopes.is_scope(tree, c) and scopes.name_of(tree, c))]


def _parameters(tree: SyntaxTree, node: Node) -> tuple[str, ...]:
    for candidate in (node, *(child for child in node.children if "declarator" in child.type)):
        found = candidate.child_by_field_name("parameters") or candidate.child_by_field_name("parameter")
        if found is not None:
            named = found.named_children or ([found] if "identifier" in found.type else [])
            return tuple(
                _one_line(tree.text_of(child)) for child in named if not _NOT_PARAMETERS.search(child.type)
            )
    return ()


def _callee(tree: SyntaxTree, node: Node) -> str:
    for field in _CALL_FIELDS:
        if (called := node.child_by_field_name(field)) is not None:
            if field == "name" and (holder := node.child_by_field_name("object")) is not None:
                return _short(f"{tree.text_of(holder)}.{tree.text_of(called)}")
            return _short(tree.text_of(called))
    first = node.named_child(0)
    return _short(tree.text_of(first)) if first is not None else ""


def _raised(tree: SyntaxTree, node: Node) -> str:
    thrown = next((child for child in node.named_children if "comment" not in child.type), None)
    if thrown is None:
        return ""
    text = tree.text_of(thrown).removeprefix("new ").strip()
    return _short(re.split(r"[({\s]", text, maxsplit=1)[0])


def _decides(node: Node) -> bool:
    if not node.is_named:
        return False
    if _DECISION.match(node.type):
        return True
    return bool(_BOOLEAN.match(node.type)) and any(child.type in _BOOLEAN_SIGNS for child in node.children)


def _signatures(tree: SyntaxTree, node: Node) -> Iterator[str]:
    for child in _walk(node):
        if child is not node and child.id != node.id and scopes.scope_kind(child, tree.grammar) == "function":
            name = scopes.name_of(tree, child)
            if name and child.start_byte > node.start_byte:
                yield f"{name}({', '.join(_parameters(tree, child))})"


def _unique(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _short(text: str) -> str:
    text = _one_line(text)
    return text if len(text) <= 60 else text[:57] + "..."
