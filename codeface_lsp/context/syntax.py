"""Syntax trees: incremental, in code-point offsets, bounded in time. The one file that imports tree_sitter.

A `SyntaxTree` is immutable for its users: an edit gives a new one that shares what did not change. A language
without a grammar, a text that is too large and a parse that takes too long all give None: callers go by lines.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias

import tree_sitter
from tree_sitter_language_pack import get_language

from codeface_lsp.context import languages
from codeface_lsp.text.diff import changed_span

Node: TypeAlias = tree_sitter.Node
Query: TypeAlias = tree_sitter.Query

MAX_CHARS = 2_000_000
"""Larger texts get no tree: a first parse would hold the event loop for more than about 150 ms."""
TIME_LIMIT_S = 0.75
"""Time on the processor: on a busy machine a parse may take longer by the clock."""
_SLICE = 1 << 16
_MARK_CHARS = 4096

log = logging.getLogger(__name__)


class SyntaxTree:
    """The tree of one text in one language. Offsets are code points of `text`."""

    def __init__(self, text: str, data: bytes, tree: tree_sitter.Tree, grammar: str) -> None:
        self.text = text
        self.grammar = grammar
        self._data = data
        self._tree = tree
        self._ascii = len(data) == len(text)
        self._known_marks: list[int] | None = None

    @property
    def root(self) -> Node:
        """The root node."""
        return self._tree.root_node

    @property
    def has_error(self) -> bool:
        """Whether the parser had to skip or invent anything."""
        return self.root.has_error

    def error_count(self, limit: int = 1000) -> int:
        """Number of places where the parser skipped or invented something, at most `limit`."""
        count = 0
        for _ in _errors(self.root):
            count += 1
            if count >= limit:
                break
        return count

    def byte(self, offset: int) -> int:
        """Byte offset of a code-point offset."""
        if self._ascii:
            return offset
        mark = offset // _MARK_CHARS
        return self._marks()[mark] + len(_encode(self.text[mark * _MARK_CHARS : offset]))

    def char(self, byte: int) -> int:
        """Code-point offset of a byte offset."""
        if self._ascii:
            return byte
        marks = self._marks()
        mark = bisect_right(marks, byte) - 1
        return mark * _MARK_CHARS + len(self._data[marks[mark] : byte].decode("utf-8"))

    def _marks(self) -> list[int]:
        """Byte offsets of every `_MARK_CHARS`-th character."""
        if self._known_marks is None:
            sizes = (
                len(_encode(self.text[start : start + _MARK_CHARS]))
                for start in range(0, len(self.text), _MARK_CHARS)
            )
            self._known_marks = list(accumulate(sizes, initial=0))
        return self._known_marks

    def span(self, node: Node) -> tuple[int, int]:
        """Code-point offsets `(start, end)` of a node."""
        if self._ascii:
            return node.start_byte, node.end_byte
        start = self.char(node.start_byte)
        inside = self._data[node.start_byte : node.end_byte]
        return start, start + len(inside.decode("utf-8"))

    def text_of(self, node: Node) -> str:
        """The text of a node."""
        return self._data[node.start_byte : node.end_byte].decode("utf-8")

    def node_at(self, start: int, end: int | None = None) -> Node:
        """The smallest node that covers `[start, end]`."""
        first = self.byte(start)
        last = first if end is None else self.byte(end)
        return self.root.descendant_for_byte_range(first, last) or self.root

    def ancestors(self, start: int, end: int | None = None) -> Iterator[Node]:
        """The node at a place and those around it, innermost first."""
        node: Node | None = self.node_at(start, end)
        while node is not None:
            yield node
            node = node.parent

    def updated(self, text: str) -> SyntaxTree | None:
        """The tree of a changed text; reuses what is common, None if the parse is given up."""
        span = changed_span(self.text, text)
        if span is None:
            return self
        if len(text) > MAX_CHARS:
            return None
        start, old_end, new_end = span
        data = _encode(text)
        first = self.byte(start)
        last_old = first + len(_encode(self.text[start:old_end]))
        last_new = first + len(_encode(text[start:new_end]))
        tree = self._tree.copy()
        tree.edit(
            first,
            last_old,
            last_new,
            _point(self._data, first),
            _point(self._data, last_old),
            _point(data, last_new),
        )
        parsed = _parse(data, self.grammar, tree)
        return None if parsed is None else SyntaxTree(text, data, parsed, self.grammar)

    def replaced(self, start: int, end: int, text: str) -> SyntaxTree | None:
        """The tree as if `[start, end)` were replaced by `text`."""
        return self.updated(self.text[:start] + text + self.text[end:])

    def query(self, query: Query, limit: int | None = None) -> Iterator[tuple[int, dict[str, list[Node]]]]:
        """Matches of a query: `(pattern index, captures by name)`."""
        cursor = tree_sitter.QueryCursor(query, match_limit=limit or 0xFFFF)
        yield from cursor.matches(self.root)


def parse(text: str, language_id: str) -> SyntaxTree | None:
    """Parse a text; None if the language is unknown, the text too large, or the parse takes too long."""
    language = languages.by_id(language_id)
    return None if language is None else parse_grammar(text, language.grammar)


def parse_grammar(text: str, grammar: str) -> SyntaxTree | None:
    """Parse a text with a grammar by its own name; None as in `parse`."""
    if len(text) > MAX_CHARS or _parser(grammar) is None:
        return None
    data = _encode(text)
    tree = _parse(data, grammar, None)
    return None if tree is None else SyntaxTree(text, data, tree, grammar)


def parses(text: str, language_id: str) -> bool | None:
    """Whether a text parses without an error; None if that cannot be told."""
    tree = parse(text, language_id)
    return None if tree is None else not tree.has_error


def error_count(text: str, language_id: str) -> int | None:
    """How many syntax errors a text has; None if that cannot be told."""
    tree = parse(text, language_id)
    return None if tree is None else tree.error_count()


@lru_cache(maxsize=256)
def compile_query(grammar: str, source: str) -> Query:
    """Compile a query once. Raises `ValueError` if it does not fit the grammar."""
    return tree_sitter.Query(_language(grammar), source)


@lru_cache(maxsize=256)
def _language(grammar: str) -> tree_sitter.Language:
    language: tree_sitter.Language = get_language(grammar)
    return language


@lru_cache(maxsize=256)
def _parser(grammar: str) -> tree_sitter.Parser | None:
    try:
        return tree_sitter.Parser(_language(grammar))
    except (LookupError, ValueError, ImportError, OSError) as error:
        log.warning("no grammar %s: %s", grammar, error)
        return None


def _parse(data: bytes, grammar: str, old: tree_sitter.Tree | None) -> tree_sitter.Tree | None:
    parser = _parser(grammar)
    if parser is None:
        return None
    if old is not None:
        # An edit is parsed in a millisecond, so it needs no time limit, whose callbacks leak (see `_buffer`).
        return parser.parse(data, old)
    deadline = time.thread_time() + TIME_LIMIT_S

    buffer = _buffer(grammar)

    def read(offset: int, _point: tree_sitter.Point) -> memoryview:
        piece = data[offset : offset + _SLICE]
        buffer[: len(piece)] = piece
        return buffer[: len(piece)]

    def late(_offset: int, _error: bool) -> bool:
        return time.thread_time() > deadline

    try:
        parsed = parser.parse(read, progress_callback=late)
    except ValueError:  # given up: the parser would otherwise resume this text at the next call
        parser.reset()
        log.warning("parsing %d bytes of %s took more than %.2f s", len(data), grammar, TIME_LIMIT_S)
        return None
    # Once more from the bytes, which takes all of the first tree as it is: a node's text, also that a query's
    # predicate asks for, is read from where its tree was parsed from, and the buffer holds something else by then.
    return parser.parse(data, parsed)


@lru_cache(maxsize=64)
def _buffer(_grammar: str) -> memoryview:
    """Where a parser's reading callback puts each piece of text.

    A parse with a time limit has to read by a callback, and py-tree-sitter 0.26.1 never frees what that returns: a view
    of one buffer is small, a piece of text would be a whole document, or two, for each first parse.
    """
    return memoryview(bytearray(_SLICE))


def _encode(text: str) -> bytes:
    """UTF-8 with one byte for each lone surrogate, so that every node boundary is a character boundary."""
    return text.encode("utf-8", "replace")


def _point(data: bytes, offset: int) -> tuple[int, int]:
    return data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1)


def _errors(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        current = stack.pop()
        if current.is_error or current.is_missing:
            yield current
        if current.has_error:
            stack.extend(current.children)
