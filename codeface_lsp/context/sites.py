"""What kind of place the cursor is in: a comment, a string, an argument list, where a block belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from codeface_lsp.context import languages
from codeface_lsp.context.scopes import BLOCK, is_scope, line_end, line_start
from codeface_lsp.context.syntax import Node, SyntaxTree

_STRING = re.compile(
    r"string|^(char_literal|rune_literal|character|heredoc_body|quoted_\w+|charlist|sigil)$|template_literal"
)
_NOT_STRING = re.compile(
    r"interpolat|substitution|^string_type$|_start$|concatenated|^expansion$|embedded_expression"
)
_CODE_IN_STRING = re.compile(r"interpolation|substitution|embedded|interpolated_expression|^expansion$")
_ARGUMENTS = re.compile(
    r"^(argument_list|arguments|value_arguments|call_suffix|argument|method_arguments|template_argument_list)$"
)
_BRACKETED = re.compile(
    r"argument|parameter|list|tuple|dictionary|object$|array|set$|parenthesized|subscript|literal_value|initializer|pair$"
)
_OPENS_BLOCK = re.compile(r"(:|\{|=>|->|\bdo|\bthen|\bbegin|\belse|\bwhere|\bof)\s*$")
_OPENS_BLOCK_INDENTED = re.compile(r":\s*(#.*)?$|\b(where|of|do|then|else)\s*$")
_CLOSERS = re.compile(r"[)\]}>\"'`;,:\s]*\Z")
_NESTING = re.compile(r"[()\[\]{};]")
_CALL_SCAN = 4000


def in_comment(tree: SyntaxTree, offset: int) -> bool:
    """Whether what is typed at `offset` becomes part of a comment."""
    for node in _around(tree, offset):
        if "comment" in node.type and node.is_named:
            start, end = tree.span(node)
            text = tree.text_of(node)
            closed = text.endswith(("*/", "-->", "-}", "*)", "=#", "#>", "]]"))
            return start < offset and (offset < end or (not closed and not text.endswith("\n")))
    return False


def in_string(tree: SyntaxTree, offset: int) -> bool:
    """Whether `offset` lies between the quotes of a string (not in code interpolated into it)."""
    for node in _around(tree, offset):
        if _CODE_IN_STRING.search(node.type):
            start, end = tree.span(node)
            if start < offset < end:
                return False
        if node.is_named and _STRING.search(node.type) and not _NOT_STRING.search(node.type):
            if (
                node.parent is not None
                and _STRING.search(node.parent.type)
                and not _NOT_STRING.search(node.parent.type)
            ):
                continue
            start, end = tree.span(node)
            if start < offset < end:
                return (
                    not re.match(r"\w*[\"'`]?\Z", tree.text[start:offset])
                    or offset > start + 1
                    or tree.text[start] in "\"'`"
                )
    return False


def in_arguments(tree: SyntaxTree | None, text: str, offset: int) -> bool:
    """Whether `offset` lies in the argument list of a call, a closed or an unfinished one."""
    if tree is not None:
        for node in tree.ancestors(offset):
            if _ARGUMENTS.match(node.type):
                start, end = tree.span(node)
                if start < offset < end and text[start] == "(":
                    return True
            if is_scope(tree, node) or BLOCK.match(node.type):
                break
    return _unclosed_call(text[max(0, offset - _CALL_SCAN) : offset])


def multiline(tree: SyntaxTree | None, text: str, offset: int, language_id: str) -> bool:
    """Whether a block of several lines belongs here: an empty body, or a blank line where statements stand."""
    start, end = line_start(text, offset), line_end(text, offset)
    before, after = text[start:offset], text[offset:end]
    if not _CLOSERS.match(after):
        return False
    language = languages.by_id(language_id)
    opener = _OPENS_BLOCK_INDENTED if language and language.indented else _OPENS_BLOCK
    if before.strip():
        return bool(opener.search(before)) and not _inside_brackets(tree, offset)
    if after.strip():
        return False
    above = text[:start].rstrip()
    last_line = above[above.rfind("\n") + 1 :]
    if opener.search(last_line):
        return True
    return tree is not None and not _inside_brackets(tree, offset)


def closing_only(rest: str) -> bool:
    """Whether the rest of a line is nothing but closing brackets, quotes, separators and blanks."""
    return bool(_CLOSERS.match(rest))


def _inside_brackets(tree: SyntaxTree | None, offset: int) -> bool:
    if tree is None:
        return False
    for node in tree.ancestors(offset):
        if is_scope(tree, node) or BLOCK.match(node.type) or node.type.endswith(("_body", "block")):
            return False
        if _BRACKETED.search(node.type) and node.is_named and node.parent is not None:
            start, end = tree.span(node)
            if start < offset < end and tree.text[start] in "([{<":
                return True
    return False


def _around(tree: SyntaxTree, offset: int) -> Iterator[Node]:
    """Nodes that touch `offset` from the left, then those at it."""
    if offset > 0:
        yield from tree.ancestors(offset - 1, offset)
        leaf = tree.node_at(offset - 1)
        yield leaf
        if leaf.parent is not None:
            yield leaf.parent


def _unclosed_call(before: str) -> bool:
    depth = 0
    for found in reversed(list(_NESTING.finditer(before))):
        char, index = found[0], found.start()
        if char in ")]}":
            depth += 1
        elif depth == 0:
            return (
                char == "("
                and bool(re.search(r"[\w\])>]\s?\Z", before[:index]))
                and not _heads_block(before[:index])
            )
        elif char != ";":
            depth -= 1
    return False


def _heads_block(before: str) -> bool:
    """Whether the parenthesis belongs to a definition or a statement rather than to a call."""
    line = before[before.rfind("\n") + 1 :]
    return bool(
        re.search(
            r"\b(def|function|func|fn|fun|class|if|while|for|switch|catch|return|elif|and|or|not|in)\b\s*\w*\s*\Z",
            line,
        )
    )
