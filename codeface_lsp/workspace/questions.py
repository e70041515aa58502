"""Answers questions about the workspace: by words (BM25) and, where a model for embeddings is set, by meaning.

Vectors of definitions lie in the index itself, as float16. Both rankings are joined by reciprocal rank (Cormack et al.
2009), so that neither's scores need a scale.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from codeface_lsp.workspace import store
from codeface_lsp.workspace.client import IndexClient
from codeface_lsp.workspace.scanning import words_of
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], Awaitable[list[list[float]]]]

_CANDIDATES = 40
_RANK_CONSTANT = 60
_BATCH = 32
_MAX_LINES = 60
_MAX_CHARS = 2_000
_LOCK_WAIT_S = 30.0
_STOP_LIST = """
and are for from has have how into its not that the then this was were what when where which who why will with does
can could should would you your use used using
"""
_STOP = frozenset(_STOP_LIST.split())

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A definition or a section that a question is about; lines count from 1, both included, secrets masked."""

    path: str
    name: str
    first_line: int
    last_line: int
    text: str
    score: float


class Questions:
    """Answers questions from the index of one root."""

    def __init__(self, client: IndexClient, sources: Sources) -> None:
        self._client = client
        self._sources = sources
        self._vectors: tuple[str, list[int], NDArray[np.float32]] | None = None

    async def ask(
        self, question: str, limit: int, embed: Embed | None = None, model: str = ""
    ) -> list[Answer]:
        """The best answers, best first; by words alone if there is no `embed` or it fails."""
        ranked = [self._by_words(question)]
        if embed is not None:
            try:
                (vector,) = await embed([question])
                ranked.append(self._by_meaning(model, vector))
            except Exception as error:  # whatever a server does: words still answer
                log.warning("embeddings failed: %s", error)
        scores: dict[int, float] = {}
        for order in ranked:
            for rank, symbol_id in enumerate(order):
                scores[symbol_id] = scores.get(symbol_id, 0.0) + 1.0 / (_RANK_CONSTANT + rank)
        best = sorted(scores, key=lambda symbol_id: -scores[symbol_id])[: limit * 3]
        nothing: list[Symbol] = []
        found = {
            symbol.id: symbol for symbol in self._client.read(lambda reader: reader.by_id(best), nothing)
        }
        return self._answers([(found[id_], scores[id_]) for id_ in best if id_ in found], limit)

    async def learn(self, embed: Embed, model: str) -> int:
        """Embed every definition that has no vector of this model yet; returns how many. Stops at the first failure."""
        from codeface_lsp.workspace import vectors

        done = 0
        nothing: list[Symbol] = []
        while batch := self._client.read(lambda reader: reader.without_vector(model, _BATCH), nothing):
            embedded = await embed([self._text(symbol) or symbol.name for symbol in batch])
            rows = [(symbol.id, vectors.pack(vector)) for symbol, vector in zip(batch, embedded, strict=True)]
            try:
                await asyncio.to_thread(self._write, model, rows)
            except (sqlite3.Error, Timeout, OSError) as error:
                log.warning("vectors cannot be stored: %s", error)
                return done
            done += len(batch)
        return done

    def _by_words(self, question: str) -> list[int]:
        words = [word for word in words_of(question) if word not in _STOP]
        nothing: list[tuple[Symbol, float]] = []
        found = self._client.read(lambda reader: reader.search(words, _CANDIDATES), nothing)
        return [symbol.id for symbol, _ in found]

    def _by_meaning(self, model: str, vector: Sequence[float]) -> list[int]:
        """Ids by cosine similarity."""
        from codeface_lsp.workspace import vectors

        nothing: tuple[list[int], bytes] = ([], b"")
        ids, blob = self._client.read(lambda reader: reader.vectors(model), nothing)
        if self._vectors is None or self._vectors[:2] != (model, ids):
            self._vectors = (model, ids, vectors.unpack(blob, len(ids), len(vector)))
        return [ids[row] for row in vectors.nearest(self._vectors[2], vector, _CANDIDATES)]

    def _write(self, model: str, rows: list[tuple[int, bytes]]) -> None:
        with FileLock(f"{self._client.file}.lock").acquire(timeout=_LOCK_WAIT_S):
            writer = store.Writer(self._client.file)
            try:
                writer.put_vectors(model, rows)
                writer.commit()
            finally:
                writer.close()

    def _answers(self, ranked: list[tuple[Symbol, float]], limit: int) -> list[Answer]:
        answers: list[Answer] = []
        for symbol, score in ranked:
            text = self._text(symbol)
            last = symbol.start + text.count("\n")
            overlaps = any(
                a.path == symbol.path and a.first_line <= last + 1 and symbol.start + 1 <= a.last_line
                for a in answers
            )
            if text and not overlaps and len(answers) < limit:
                answers.append(
                    Answer(symbol.path, symbol.name, symbol.start + 1, last + 1, text, round(score, 5))
                )
        return answers

    def _text(self, symbol: Symbol) -> str:
        lines = self._sources.lines(symbol.path)[
            symbol.start : min(symbol.end + 1, symbol.start + _MAX_LINES)
        ]
        return "\n".join(lines)[:_MAX_CHARS]
