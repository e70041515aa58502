"""The last word before an edit: what parsed must still parse, and only what was asked for may have changed."""

from __future__ import annotations

from rapidfuzz.distance import Indel

from codeface_lsp.assist.edits.candidate import Problem
from codeface_lsp.context import syntax
from codeface_lsp.context.syntax import Node, SyntaxTree
from codeface_lsp.prompting.code_blocks import dedented

_LEAST_ALIKE = 0.4


def check_syntax(before: str, after: str, new: str, language: str) -> None:
    """Raise `Problem` if the file `after` is syntactically worse than `before`.

    A file that parsed must parse. In one that was broken already and stays so, the number of errors must not grow, and
    the new piece must parse by itself: then what is still wrong was wrong elsewhere.
    """
    tree = syntax.parse(after, language)
    if tree is None or not tree.has_error:
        return
    errors_before = syntax.error_count(before, language)
    errors_after = tree.error_count()
    if not errors_before:
        raise Problem(f"does not parse as {language}: {_first_error(tree)}")
    if errors_after > errors_before or not _stands_alone(new, language):
        raise Problem(f"still does not parse as {language}: {_first_error(tree)}")


def check_small(old: str, new: str) -> None:
    """Raise `Problem` if a correction rewrites most of the code."""
    if Indel.normalized_similarity(old.split(), new.split()) < _LEAST_ALIKE:
        raise Problem("rewrites far more than what was reported")


def check_only_documented(old: str, new: str, language: str) -> None:
    """Raise `Problem` if anything but comments and documentation strings differs."""
    before, after = syntax.parse(dedented(old), language), syntax.parse(dedented(new), language)
    if before is not None and after is not None and _tokens(before) != _tokens(after):
        raise Problem("changes the code, not only its documentation")


def _stands_alone(code: str, language: str) -> bool:
    alone = dedented(code)
    wrapped = (
        [alone] if language == "python" else [alone, f"class X {{\n{alone}\n}}\n", f"package x\n{alone}"]
    )
    return any(syntax.parses(text, language) for text in wrapped)


def _tokens(tree: SyntaxTree) -> list[str]:
    """Text of all leaves, comments and documentation strings left out."""
    found: list[str] = []
    stack: list[Node] = [tree.root]
    while stack:
        node = stack.pop()
        if "comment" in node.type or _is_docstring(tree, node):
            continue
        if node.child_count == 0 or "string" in node.type:
            found.append(tree.text_of(node))
        else:
            stack.extend(reversed(node.children))
    return [token for token in found if token.strip()]


def _is_docstring(tree: SyntaxTree, node: Node) -> bool:
    parent = node.parent
    if tree.grammar != "python" or parent is None or parent.type not in ("block", "module"):
        return False
    string = node.child(0) if node.type == "expression_statement" and node.child_count == 1 else node
    if string is None or string.type != "string":
        return False
    first = next((c for c in parent.named_children if "comment" not in c.type), None)
    return first is not None and first.id == node.id


def _first_error(tree: SyntaxTree) -> str:
    node = tree.root
    while True:
        inner = next((c for c in node.children if c.has_error or c.is_error or c.is_missing), None)
        if node.is_missing or (node.is_error and inner is None) or inner is None:
            break
        node = inner
    line = node.start_point[0] + 1
    return (
        f"`{node.type}` is missing in line {line}" if node.is_missing else f"there is an error in line {line}"
    )
