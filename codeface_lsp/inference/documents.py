"""N-gram indices of open documents: what the user's own file, and those next to it, say about the next token."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from cachetools import LRUCache

from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.token_index import Tokens
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models.types import Tokenizer

MOST_DOCUMENTS = 32
MOST_PIECES = 8192
MOST_NEIGHBOURS = 64
"""Neighbours whose tokens are kept: documents of one folder have the same ones."""
ANCHOR_CHARS = 400
"""Text before the cursor that finds the cursor's place in the document."""
_BORDER = re.compile(r"(?<=\n\n)(?=\S)")


class Document:
    """A document's text, tokenized piece by piece, so that a change costs what it touched."""

    def __init__(self) -> None:
        self.text = ""
        self.index = NgramIndex()
        self.neighbours: Mapping[str, Tokens] = {}
        self._pieces: OrderedDict[str, list[int]] = OrderedDict()  # shortened only where a text ends

    def tokens(self, tokenizer: Tokenizer, text: str) -> list[int]:
        """Token ids of a text, cut at blank lines; pieces seen before are not tokenized again."""
        ids: list[int] = []
        for piece in _BORDER.split(text):
            known = self._pieces.get(piece)
            if known is None:
                known = self._pieces[piece] = tokenizer.encode(piece)
            else:
                self._pieces.move_to_end(piece)
            ids += known
        while len(self._pieces) > MOST_PIECES:
            self._pieces.popitem(last=False)
        return ids

    def split_at(self, tokenizer: Tokenizer, cursor: int | None, typed: int) -> None:
        """Index what stands before and behind the cursor as two texts, so that the cursor's own place is no match.

        The last `typed` characters before the cursor belong to the answer, so they are left out.
        """
        at = len(self.text) if cursor is None else cursor
        before = at if cursor is None else at - typed
        self.index.set_document(
            {
                "prefix": self.tokens(tokenizer, self.text[:before]),
                "suffix": self.tokens(tokenizer, self.text[at:]),
            },
            self.neighbours,
        )


class Documents:
    """The documents of one model. Texts arrive on any thread; indices belong to the generation thread."""

    def __init__(self, tokenizer: Tokenizer, *, mixes: bool) -> None:
        self._tokenizer = tokenizer
        self._mixes = mixes
        self._documents: LRUCache[str, Document] = LRUCache(MOST_DOCUMENTS)
        self._encoded: LRUCache[bytes, Tokens] = LRUCache(MOST_NEIGHBOURS)
        self._lock = threading.Lock()

    def set(self, name: str, text: str) -> None:
        """Take in a document's text."""
        with self._lock:
            self._document(name).text = text

    def set_neighbours(self, name: str, texts: Mapping[str, str]) -> None:
        """Take in the files next to a document, in place of those before; tokenizes what it has not seen yet."""
        if not self._mixes:
            return
        tokens = {file: self._tokens(text) for file, text in texts.items()}
        with self._lock:
            self._document(name).neighbours = tokens

    def _document(self, name: str) -> Document:
        """The document, made if it is new; the least recently used one makes room."""
        return self._documents.setdefault(name, Document())

    def _tokens(self, text: str) -> Tokens:
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        with self._lock:
            tokens = self._encoded.get(digest)
        if tokens is None:
            tokens = np.asarray(self._tokenizer.encode(text), np.int32)
        with self._lock:
            self._encoded[digest] = tokens
        return tokens

    def remove(self, name: str) -> None:
        """Forget a document."""
        with self._lock:
            self._documents.pop(name, None)

    def index(self, request: GenerationRequest, prompt: Sequence[int]) -> NgramIndex | None:
        """The index of the request's document, as seen from its cursor."""
        with self._lock:
            document = self._documents.get(request.document) if request.document is not None else None
        if document is None:
            return None
        cursor = self._cursor(document.text, prompt, request.heal)
        document.split_at(self._tokenizer, cursor, len(request.heal.decode("utf-8", "ignore")))
        return document.index

    def mixture(self, request: GenerationRequest, prompt: Sequence[int]) -> Mixture | None:
        """What mixes n-grams into a completion's probabilities, None where nothing is to be mixed."""
        if not self._mixes or request.priority == "chat":
            return None
        index = self.index(request, prompt)
        return Mixture(index) if index is not None else None

    def _cursor(self, text: str, prompt: Sequence[int], heal: bytes) -> int | None:
        """Offset of the cursor: where the text before it, which some part of the prompt ends with, stands last."""
        for end in self._ends(prompt):
            raw = b"".join(map(self._tokenizer.token_bytes, prompt[max(0, end - ANCHOR_CHARS) : end]))
            before = (raw + heal).decode("utf-8", "ignore")[-ANCHOR_CHARS:]
            before = before[before.find("\n") + 1 :] or before
            at = text.rfind(before) if before else -1
            if at >= 0:
                return at + len(before)
        return None

    def _ends(self, prompt: Sequence[int]) -> list[int]:
        """Where the prefix may end in the prompt: at its end, or in front of the suffix's special token."""
        special = [at for at, token in enumerate(prompt) if not self._tokenizer.token_bytes(token)]
        if special and special[-1] == len(prompt) - 1:
            return special[-2:-1]
        return [len(prompt)]


class Mixture:
    """Mixes what followed the last tokens elsewhere in the document into the model's probabilities."""

    def __init__(self, index: NgramIndex) -> None:
        self._index = index

    def mix(self, sequence: Sequence[int], logits: torch.Tensor) -> tuple[torch.Tensor, float | None]:
        """Logits of the mixture and, where it changed them, their log-sum-exp; `logits` has shape (vocabulary,)."""
        mixed, total = self._index.mix_logits(sequence, logits.numpy())
        return (logits, None) if total is None else (torch.from_numpy(mixed), total)
