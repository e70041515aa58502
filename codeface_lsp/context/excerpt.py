"""The window of the current file that a prompt shows: an anchored prefix and a frozen suffix.

Everything before the prefix must stay as it is while one types, or the model recomputes its KV cache. So a `Frame`
is made once, at a place, and kept while what is typed goes on from there:

- its top edge stays; when the prefix outgrows its budget, a new frame starts far below, so that this is rare;
- its suffix is the text below the cursor's line at that time. New lines between the cursor and that text do not
  change it, as long as they hold nothing but closing brackets and blanks (what an editor puts there by itself).

Offsets move with the edits around them. The distance of the suffix from the end of the text does not change when
something is typed above it, which finds it again without knowing the edits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from codeface_lsp.context.counting import LineCounter
from codeface_lsp.context.parts import Budget, ExtraContext
from codeface_lsp.context.sites import closing_only
from codeface_lsp.context.syntax import Node, SyntaxTree

FILL = 0.75
"""Share of the prefix's budget that a new frame fills; the rest is room to type in."""
_SLACK = 0.2
"""How far below the fill an edge may move to reach a boundary of the syntax."""
_MAX_GAP = 400
_MAX_LINE_SUFFIX = 1_000
_SHORT_REST = 16
_CHARS_PER_TOKEN = 8
"""Lines longer than this many characters per token of budget are taken not to fit, uncounted."""
_DEPTH = 8


@dataclass(slots=True)
class Frame:
    """A window kept while one types in it."""

    budget: Budget
    top: int
    below: int
    tail: int
    """Characters from where the suffix starts to the end of the text."""
    suffix: str
    shown: str
    """The suffix as prompts show it, with secrets masked."""
    suffix_tokens: int
    prefix_limit: int
    extra: tuple[ExtraContext, ...] = ()
    extra_tokens: int = 0
    notices: tuple[str, ...] = ()
    stamp: int = 0
    """Tells whether the document's imports are still those that the extra context was gathered for."""
    selected: set[str] = field(default_factory=set)
    """Items of the popup menu whose definitions were looked for."""
    cut_line: bool = False
    """The top lies inside a line that is longer than the budget."""

    def shift(self, span: tuple[int, int, int]) -> bool:
        """Follow an edit `(start, old_end, new_end)`; False if it hit the top edge.

        An edit that seems to lie inside the suffix moves nothing: a new line with the indentation of the line
        below looks like that. `holds` then finds the suffix by its distance from the end, or not at all.
        """
        start, old_end, new_end = span
        if start < self.top:
            if old_end > self.top:
                return False
            self.top += new_end - old_end
        if old_end <= self.below and start < self.below:
            self.below += new_end - old_end
        elif start >= self.below + len(self.suffix):
            self.tail += new_end - old_end
        return True

    def holds(self, text: str, offset: int, counter: LineCounter) -> bool:
        """Whether the window is still right for a cursor at `offset`; finds the suffix again."""
        line_start, line_end = line_bounds(text, offset)
        if not self.top <= (offset if self.cut_line else line_start):
            return False
        if not self._find_suffix(text, line_end):
            return False
        gap = text[line_end : self.below]
        if len(gap) > _MAX_GAP or not closing_only(gap):
            return False
        return self.prefix_tokens(text, offset, counter) <= self.prefix_limit

    def prefix_tokens(self, text: str, offset: int, counter: LineCounter) -> int:
        """Tokens of the prefix at a cursor; a text far beyond the limit is not counted to its end."""
        if offset - self.top > self.prefix_limit * 2 * _CHARS_PER_TOKEN:
            return self.prefix_limit + 1
        return counter.count(text[self.top : offset])

    def _find_suffix(self, text: str, line_end: int) -> bool:
        for below in (len(text) - self.tail, self.below):
            if line_end <= below <= len(text) and text.startswith(self.suffix, below):
                if not self.suffix and below != len(text):
                    continue
                self.below, self.tail = below, len(text) - below
                return True
        return False


def line_bounds(text: str, offset: int) -> tuple[int, int]:
    """Start and end (before the line end) of the line at `offset`."""
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return start, len(text) if end < 0 else end


def line_suffix(text: str, offset: int, limit: int, counter: LineCounter) -> str:
    """The rest of the cursor's line, cut to `limit` tokens where it is absurdly long."""
    _, end = line_bounds(text, offset)
    rest = text[offset : min(end, offset + _MAX_LINE_SUFFIX)].removesuffix("\r")
    while len(rest) > _SHORT_REST and counter.line(rest + "\n") > limit:
        rest = rest[: len(rest) * 3 // 4]
    return rest


def take_suffix(
    text: str, offset: int, limit: int, counter: LineCounter, tree: SyntaxTree | None
) -> tuple[str, int, int]:
    """`(suffix, its start, its tokens)`: whole lines below the cursor's, at most `limit` tokens.

    The end is drawn back to a boundary of the syntax if one is near.
    """
    _, line_end = line_bounds(text, offset)
    start = min(line_end + 1, len(text))
    ends, tokens, at = [start], [0], start
    while at < len(text):
        newline = text.find("\n", at)
        stop = len(text) if newline < 0 else newline + 1
        cost = limit + 1 if stop - at > limit * _CHARS_PER_TOKEN else counter.line(text[at:stop])
        if tokens[-1] + cost > limit:
            break
        ends.append(stop)
        tokens.append(tokens[-1] + cost)
        at = stop
    last = len(ends) - 1
    if ends[last] < len(text) and tree is not None:
        floor = next(i for i, count in enumerate(tokens) if count >= tokens[last] * (1 - _SLACK))
        best = boundary(tree, ends[floor], ends[last], latest=True)
        if best is not None and best in ends:
            last = ends.index(best)
    return text[start : ends[last]], start, tokens[last]


def take_top(
    text: str, offset: int, limit: int, counter: LineCounter, tree: SyntaxTree | None
) -> tuple[int, bool]:
    """`(top edge, whether it cuts a line)` of a new prefix that leaves room to type in under `limit` tokens."""
    line_start, _ = line_bounds(text, offset)
    target = int(limit * FILL)
    if offset - line_start > target * _CHARS_PER_TOKEN:
        return _cut_line(text, line_start, offset, target, counter), True
    used = counter.line(text[line_start:offset]) if offset > line_start else 0
    if used > target:
        return _cut_line(text, line_start, offset, target, counter), True
    starts, tokens, at = [line_start], [used], line_start
    while at > 0:
        start = text.rfind("\n", 0, at - 1) + 1
        cost = limit + 1 if at - start > limit * _CHARS_PER_TOKEN else counter.line(text[start:at])
        if tokens[-1] + cost > target:
            break
        starts.append(start)
        tokens.append(tokens[-1] + cost)
        at = start
    if at > 0 and tree is not None:
        floor = next(i for i, count in enumerate(tokens) if count >= tokens[-1] * (1 - _SLACK))
        best = boundary(tree, starts[-1], starts[floor], latest=False)
        if best is not None:
            return best, False
    return at, False


def boundary(tree: SyntaxTree, start: int, end: int, *, latest: bool) -> int | None:
    """The start of a line in `[start, end]` where the outermost piece of syntax begins; ties by position."""
    text = tree.text
    low, high = tree.byte(start), tree.byte(end)
    best: tuple[int, int] | None = None
    level: list[Node] = [tree.root]
    for depth in range(_DEPTH):
        inner: list[Node] = []
        for node in level:
            for child in _children_between(node, low, high):
                if low <= child.start_byte <= high:
                    at = tree.char(child.start_byte)
                    line = text.rfind("\n", 0, at) + 1
                    if start <= line <= end and not text[line:at].strip():
                        rank = (depth, -line if latest else line)
                        best = rank if best is None else min(best, rank)
                inner.append(child)
        if best is not None or not inner:
            break
        level = inner
    return None if best is None else abs(best[1])


def _children_between(node: Node, low: int, high: int) -> list[Node]:
    """Named children that touch `[low, high]`; by cursor, as siblings of `first_named_child_for_byte` crash."""
    cursor = node.walk()
    found: list[Node] = []
    more = cursor.goto_first_child_for_byte(low) is not None
    while more and (child := cursor.node) is not None and child.start_byte <= high:
        if child.is_named:
            found.append(child)
        more = cursor.goto_next_sibling()
    return found


def _cut_line(text: str, line_start: int, offset: int, target: int, counter: LineCounter) -> int:
    """A place inside an over-long line, `target` tokens or a little less before the cursor."""
    size = min(offset - line_start, target * 3)
    while size > 16 and counter.line(text[offset - size : offset]) > target:
        size = size * 3 // 4
    return offset - size
