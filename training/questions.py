"""Holes in real files, with the true answer: what the evaluation asks."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.corpus import Document
from training.holes import block_end, indentation

KINDS = ("whole line", "second half", "block")
SHORTEST_LINE = 6
BLOCK_LINES = (2, 10)


@dataclass(frozen=True)
class Question:
    """A file with a hole, and what stood in it."""

    kind: str
    source: str
    path: str
    prefix: str
    truth: str
    suffix: str


COMMENTS = ("//", "/*", "*", "#", "--")


def _not_code(text: str, path: str) -> set[int]:
    """Zero-based lines of comments alone and, in Python, of strings that span lines or stand alone (docstrings)."""
    if not path.endswith(".py"):
        return {at for at, line in enumerate(text.split("\n")) if line.lstrip().startswith(COMMENTS)}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.STRING and (
            token.start[0] != token.end[0] or not token.line[: token.start[1]].strip()
        ):
            lines.update(range(token.start[0] - 1, token.end[0]))
        elif token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            lines.add(token.start[0] - 1)
    return lines


def _blocks(text: str, lines: Sequence[str]) -> list[int]:
    """First body lines of functions and compound statements whose body has 2 to 10 lines."""
    starts = []
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or isinstance(node, (ast.Module, ast.ClassDef)) or not body:
            continue
        first, last = body[0].lineno - 1, body[-1].end_lineno or body[-1].lineno
        if BLOCK_LINES[0] <= last - first <= BLOCK_LINES[1] and lines[first - 1].rstrip().endswith(":"):
            starts.append(first)
    return sorted(set(starts))


def ask(document: Document, kind: str, rng: np.random.Generator) -> Question | None:
    """One random hole of a kind in a document, or None where it has none."""
    text = document.text
    lines = text.split("\n")
    not_code = _not_code(text, document.path)
    if kind == "block":
        candidates = [at for at in _blocks(text, lines) if at not in not_code]
    else:
        candidates = [
            at for at, line in enumerate(lines) if len(line.strip()) >= SHORTEST_LINE and at not in not_code
        ]
    if not candidates:
        return None
    at = int(rng.choice(candidates))
    start = sum(len(line) + 1 for line in lines[:at])
    cursor = start + indentation(lines[at])
    end = start + len(lines[at].rstrip())
    if kind == "second half":
        cursor += (end - cursor) // 2
    elif kind == "block":
        end = block_end(text, cursor)
    rest_of_line = text.find("\n", end)
    suffix = text[rest_of_line:] if rest_of_line >= 0 else ""
    return Question(kind, document.source, document.path, text[:cursor], text[cursor:end], suffix)


def questions(
    documents: Sequence[Document],
    kind: str,
    count: int,
    seed: int,
    wanted: Callable[[Question], bool] | None = None,
) -> list[Question]:
    """`count` holes of one kind that are `wanted`, as many from each source, any line of a source equally likely."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    sources = sorted({document.source for document in documents})
    asked: list[Question] = []
    while len(asked) < count:
        source = sources[len(asked) % len(sources)]
        mine = [document for document in documents if document.source == source]
        sizes = np.array([document.text.count("\n") + 1 for document in mine], dtype=float)
        question = ask(mine[int(rng.choice(len(mine), p=sizes / sizes.sum()))], kind, rng)
        if question is not None and (wanted is None or wanted(question)):
            asked.append(question)
    return asked
