"""The unit of an edit: the smallest whole scope around a place, also where the code does not parse.

A tree with errors has its scopes in wrong places, so there the indentation decides: from the header of the innermost
definition to the last line that belongs to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from codeface_lsp.context import scopes
from codeface_lsp.context.parts import TokenCounter
from codeface_lsp.context.syntax import Node, SyntaxTree
from codeface_lsp.errors import DocumentError
from codeface_lsp.text.lines import LineIndex
from codeface_lsp.text.snapshot import Snapshot

_HEADER = re.compile(
    r"^\s*(@|(export|default|public|private|protected|static|async|abstract|final|pub(\(\w+\))?|unsafe|override)\s+)*"
    r"(def|class|function\*?|func|fn|fun|struct|interface|trait|impl|enum|module|namespace|type|sub)\b"
    r"|^\s*(async\s+)?[\w$#*]+\s*\([^;]*\)?\s*\{\s*$|^\s*(const|let|var)\s+\w+\s*=\s*(async\s*)?(\(|function|\w+\s*=>)"
)
_CONTROL = re.compile(r"^\s*(if|for|while|switch|catch|with|return|else|do|try|match|select|case)\b")
_BELONGS = re.compile(r"^\s*([)\]}]|end\b|else\b|elif\b|except\b|finally\b|catch\b|\*/)")
_NAMED = re.compile(
    r"\b(?:def|class|function|func|fn|fun|struct|interface|trait|enum)\s+(?:\([^)]*\)\s*)?(\w+)"
)
_DECORATOR = re.compile(r"^\s*(@|#\[|//|#|/\*|\*)")


@dataclass(frozen=True, slots=True)
class Region:
    """Whole lines `[start, end)`; `name` is what they define, empty if it is not one definition."""

    start: int
    end: int
    name: str = ""
    kind: scopes.Kind = "lines"


def around(
    snapshot: Snapshot, tree: SyntaxTree | None, start: int, end: int, budget: int, counter: TokenCounter
) -> Region:
    """The smallest whole scope around `[start, end)` that costs at most `budget` tokens, else lines around it.

    Raises `DocumentError` if there is no code there.
    """
    text = snapshot.text
    start, end = max(0, min(start, len(text))), max(0, min(end, len(text)))
    if not text.strip():
        raise DocumentError("The document is empty; there is nothing to edit.", kind="empty_selection")
    if tree is not None and not tree.has_error:
        scope = scopes.smallest(tree, text, start, end)
        region = Region(*_whole_lines(snapshot.lines, scope.start, scope.end), scope.name, scope.kind)
        if scope.kind == "lines":
            region = _whole_statements(snapshot.lines, tree, region)
    else:
        region = _by_indentation(snapshot.lines, start, end)
    if not text[region.start : region.end].strip():  # blank lines, for example behind the last one
        region = _by_indentation(snapshot.lines, start, end)
    if _costs(text, region, counter) <= budget:
        return region
    return _window(snapshot.lines, start, end, budget, counter)


def _costs(text: str, region: Region, counter: TokenCounter) -> int:
    return counter.count(text[region.start : region.end])


def _whole_lines(lines: LineIndex, start: int, end: int) -> tuple[int, int]:
    last = lines.line_at(max(start, end - 1))
    return lines.starts[lines.line_at(start)], _after(lines, last)


def _whole_statements(lines: LineIndex, tree: SyntaxTree, region: Region) -> Region:
    """Lines across several scopes, grown to whole statements of the top level: half a function is no unit."""
    first, last = lines.line_at(region.start), lines.line_at(max(region.start, region.end - 1))
    spans = [_rows(node) for node in tree.root.children]
    touched = [(top, bottom) for top, bottom in spans if top <= last and first <= bottom]
    if not touched:
        return region
    first, last = min(first, touched[0][0]), max(last, touched[-1][1])
    return Region(lines.starts[first], _after(lines, last))


def _rows(node: Node) -> tuple[int, int]:
    """First and last line of a node, both included; some grammars count the line end to it."""
    top, (bottom, column) = node.start_point[0], node.end_point
    return top, max(top, bottom - (column == 0))


def _after(lines: LineIndex, line: int) -> int:
    """Offset just behind a line and its line end."""
    return lines.starts[line + 1] if line + 1 < len(lines) else len(lines.text)


def _by_indentation(lines: LineIndex, start: int, end: int) -> Region:
    first, last = lines.line_at(start), lines.line_at(end)
    first = _nearest_code(lines, first)
    last = max(first, last)
    head = first
    depth = _depth(lines.line(first)) + 1
    while head >= 0:
        line = lines.line(head)
        if line.strip() and _depth(line) < depth and not _BELONGS.match(line):
            depth = _depth(line)
            if _is_header(line) or depth == 0:
                break
        head -= 1
    head = max(head, 0)
    tail = _last_line(lines, max(head, last), depth)
    while head > 0 and _DECORATOR.match(lines.line(head - 1)) and _depth(lines.line(head - 1)) == depth:
        head -= 1
    name = _name(lines.line(first)) if head == first else ""
    return Region(lines.starts[head], _after(lines, tail), name)


def _is_header(line: str) -> bool:
    return bool(_HEADER.match(line)) and not _CONTROL.match(line)


def _last_line(lines: LineIndex, line: int, depth: int) -> int:
    """Last line of the block whose header has indentation `depth`, seen from a line inside it."""
    tail = line
    for number in range(line + 1, len(lines)):
        text = lines.line(number)
        if not text.strip():
            continue
        if _depth(text) > depth or (_depth(text) == depth and _BELONGS.match(text)):
            tail = number
        else:
            break
    return tail


def _nearest_code(lines: LineIndex, line: int) -> int:
    above = next((n for n in range(line, -1, -1) if lines.line(n).strip()), None)
    return above if above is not None else next(n for n in range(line, len(lines)) if lines.line(n).strip())


def _depth(line: str) -> int:
    expanded = line.expandtabs(4)
    return len(expanded) - len(expanded.lstrip())


def _name(header: str) -> str:
    found = _NAMED.search(header)
    return found[1] if found else ""


def _window(lines: LineIndex, start: int, end: int, budget: int, counter: TokenCounter) -> Region:
    """Lines around a place, growing to both sides while the budget lasts."""
    first = lines.line_at(start)
    last = first
    wanted = lines.line_at(end)
    spent = counter.count(lines.line(first))
    up = down = True
    while up or down:
        if down := down and last + 1 < len(lines):
            spent += counter.count(lines.line(last + 1)) + 1
            down = spent <= budget
            last += down
        if up := up and first > 0 and last >= min(wanted, len(lines) - 1):
            spent += counter.count(lines.line(first - 1)) + 1
            up = spent <= budget
            first -= up
        if first == 0 and last == len(lines) - 1:
            break
        if not down and last < wanted:
            break
    return Region(lines.starts[first], _after(lines, last))
