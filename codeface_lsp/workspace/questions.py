"""Answers questions about the workspace: by words (BM25) and, where a model for embeddings is set, by meaning.

Vectors of definitions lie in the index itself, as float16. Both rankings are joined by reciprocal rank (Cormack et al.
2009), so that neither's scores need a scale.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from codeface_lsp.context import languages
from codeface_lsp.workspace import store
from codeface_lsp.workspace.client import IndexClient
from codeface_lsp.workspace.reader import Reader
from codeface_lsp.workspace.redaction import redact
from codeface_lsp.workspace.scanning import words_of
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Embed = Callable[[Sequence[str]], Awaitable[list[list[float]]]]
Allowed = Callable[[str], bool]
"""Whether a model may see the file of this relative path."""

_CANDIDATES = 40
_RANK_CONSTANT = 60
_BATCH = 32
_MAX_LINES = 60
_MAX_CHARS = 2_000
_MOST_DEFINITION_LINES = 400
_MOST_VECTORS = 50_000
"""Of a larger workspace only so many definitions are embedded: 40 MB of vectors of size 384."""
_LOCK_WAIT_S = 30.0
_STOP_LIST = """
and are for from has have how into its not that the then this was were what when where which who why will with does
can could should would you your use used using
"""
_STOP = frozenset(_STOP_LIST.split())

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model for embeddings: its name, by which its vectors are kept apart from others', and how to ask it."""

    model: str
    embed: Embed


@dataclass(frozen=True, slots=True)
class Answer:
    """A definition or a section that a question is about; lines count from 1, both included, secrets masked."""

    path: str
    name: str
    first_line: int
    last_line: int
    text: str
    score: float = 0.0

    @property
    def language(self) -> str:
        """LSP language id of its file."""
        return languages.id_of_path(self.path)


class Questions:
    """Answers questions from the index of one root."""

    def __init__(self, client: IndexClient, sources: Sources, allowed: Allowed) -> None:
        self._client = client
        self._sources = sources
        self._allowed = allowed
        self._vectors: tuple[str, list[int], NDArray[np.float32]] | None = None

    async def ask(self, question: str, limit: int, embedder: Embedder | None = None) -> list[Answer]:
        """The best answers, best first; by words alone if there is no `embedder` or it fails."""
        ranked = [self._by_words(question)]
        if embedder is not None:
            try:
                (vector,) = await embedder.embed([redact(question)])
                ranked.append(await asyncio.to_thread(self._by_meaning, embedder.model, vector))
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

    def named(self, name: str, limit: int) -> list[Answer]:
        """Functions and classes of this name, whole."""
        nothing: list[Symbol] = []
        found = self._client.read(lambda reader: reader.named([name]), nothing)
        whole = [symbol for symbol in found if symbol.kind in ("function", "class")]
        return self._answers([(symbol, 0.0) for symbol in whole], limit, _MOST_DEFINITION_LINES)

    async def learn(self, embedder: Embedder) -> int:
        """Embed what has no vector of this model yet; returns how many definitions. Stops at the first failure."""
        from codeface_lsp.workspace import vectors

        done, after = 0, 0
        while batch := self._without_vector(embedder.model, after):
            after = batch[-1].id
            self._sources.look_again()
            batch = [symbol for symbol in batch if self._allowed(symbol.path)]
            embedded = await embedder.embed([self._text(symbol) or symbol.name for symbol in batch])
            rows = [(symbol.id, vectors.pack(vector)) for symbol, vector in zip(batch, embedded, strict=True)]
            try:
                await asyncio.to_thread(self._write, embedder.model, rows)
            except (sqlite3.Error, Timeout, OSError) as error:
                log.warning("vectors cannot be stored: %s", error)
                return done
            done += len(batch)
            if done >= _MOST_VECTORS:
                break
        return done

    def _without_vector(self, model: str, after: int) -> list[Symbol]:
        nothing: list[Symbol] = []
        return self._client.read(lambda reader: reader.without_vector(model, after, _BATCH), nothing)

    def _by_words(self, question: str) -> list[int]:
        words = [word for word in words_of(question) if word not in _STOP]
        nothing: list[tuple[Symbol, float]] = []
        found = self._client.read(lambda reader: reader.search(words, _CANDIDATES), nothing)
        return [symbol.id for symbol, _ in found]

    def _by_meaning(self, model: str, vector: Sequence[float]) -> list[int]:
        """Ids by cosine similarity; runs beside the event loop, with a reader of its own."""
        from codeface_lsp.workspace import vectors

        with closing(Reader(self._client.file)) as reader:
            ids, blob = reader.vectors(model)
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

    def _answers(
        self, ranked: list[tuple[Symbol, float]], limit: int, most_lines: int = _MAX_LINES
    ) -> list[Answer]:
        answers: list[Answer] = []
        self._sources.look_again()
        for symbol, score in ranked:
            if not self._allowed(symbol.path):
                continue
            text = self._text(symbol, most_lines)
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

    def _text(self, symbol: Symbol, most_lines: int = _MAX_LINES) -> str:
        end = min(symbol.end + 1, symbol.start + most_lines)
        lines = self._sources.lines(symbol.path)[symbol.start : end]
        return "\n".join(lines)[: _MAX_CHARS * most_lines // _MAX_LINES]
