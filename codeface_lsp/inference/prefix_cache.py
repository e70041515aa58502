"""Caches of finished and running sequences, found again by their longest common prefix."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from codeface_lsp.inference.kv import SequenceCache

SHORTEST_COPY = 4
"""Common prefixes below this are recomputed rather than copied."""
LARGEST_LOSS = 0.25
"""A finished sequence that would lose more than this share of its prompt by cropping is copied instead."""


@dataclass(eq=False, slots=True)
class Entry:
    """A sequence: the tokens whose keys and values `cache` holds, and the logits at the end of its prompt."""

    model: int
    cache: SequenceCache
    tokens: list[int] = field(default_factory=list)
    prompt_length: int = 0
    prompt_logits: torch.Tensor | None = None
    used: int = 0
    running: bool = True

    def crop(self, length: int) -> None:
        """Forget everything behind the first `length` tokens."""
        self.cache.crop(length)
        del self.tokens[length:]
        if length < self.prompt_length:
            self.prompt_logits = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Figures of the prefix cache."""

    entries: int
    bytes: int
    limit: int
    hits: int
    misses: int


class PrefixCache:
    """All sequences of all models, bounded in bytes; the least recently used finished ones go first.

    Sequences belong to the generation thread; `forget` and the figures may be asked for on any.
    """

    def __init__(self, limit: int) -> None:
        """`limit` in bytes; running sequences count but are never dropped."""
        self.limit = limit
        self._entries: list[Entry] = []
        self._clock = itertools.count(1)
        self._hits = self._misses = 0
        self._forgotten: set[int] = set()
        self._lock = threading.RLock()

    def take(self, model: int, prompt: Sequence[int], empty: SequenceCache) -> Entry:
        """A running entry that holds as long a prefix of `prompt` as is known, `empty` being for the case of none.

        At least the last token of `prompt` is left to be computed, unless its logits are known.
        """
        with self._lock:
            wanted = np.asarray(prompt, dtype=np.int64)
            best, common = None, 0
            for entry in self._entries:
                if entry.model == model:
                    shared = self._usable(entry, wanted)
                    if shared > common or (shared == common and best is not None and entry.used > best.used):
                        best, common = entry, shared
            found = self._claim(best, common) if best is not None else None
            if found is None:
                self._misses += 1
                found = Entry(model, empty)
                self._entries.append(found)
            else:
                self._hits += 1
            self._touch(found)
            return found

    def _usable(self, entry: Entry, wanted: NDArray[np.int64]) -> int:
        shared = common_prefix(entry.tokens, wanted)
        if shared == len(wanted) and not (entry.prompt_logits is not None and entry.prompt_length == shared):
            shared -= 1
        if not entry.cache.croppable and shared < len(entry.tokens):
            return 0
        return shared

    def _claim(self, entry: Entry, common: int) -> Entry | None:
        if common == 0:
            return None
        lost = entry.prompt_length - common
        if not entry.running and entry.cache.croppable and lost <= LARGEST_LOSS * entry.prompt_length:
            entry.crop(common)
            entry.running = True
            return entry
        if common < SHORTEST_COPY:
            return None
        self._touch(entry)
        twin = Entry(entry.model, entry.cache.copy(common), entry.tokens[:common])
        if entry.prompt_length == common:
            twin.prompt_length, twin.prompt_logits = common, entry.prompt_logits
        self._entries.append(twin)
        return twin

    def snapshot(self, entry: Entry) -> None:
        """Keep a finished copy of a running sequence whose cache cannot be cropped later."""
        with self._lock:
            twin = Entry(entry.model, entry.cache.copy(len(entry.tokens)), list(entry.tokens), running=False)
            twin.prompt_length, twin.prompt_logits = entry.prompt_length, entry.prompt_logits
            self._entries.append(twin)
            self._touch(twin)
            self.shrink()

    def give_back(self, entry: Entry) -> None:
        """A sequence ended; it stays for reuse if there is room."""
        with self._lock:
            entry.running = False
            if not entry.cache.croppable or not entry.tokens or entry.model in self._forgotten:
                self._entries.remove(entry)
                return
            entry.crop(min(len(entry.tokens), entry.cache.length))
            self._touch(entry)
            self.shrink()

    def shrink(self, limit: int | None = None) -> int:
        """Drop finished sequences, least recently used first, until `limit` bytes are held; returns how many went."""
        with self._lock:
            bound = self.limit if limit is None else limit
            idle = sorted((e for e in self._entries if not e.running), key=lambda e: e.used)
            held = self.nbytes
            dropped = 0
            for entry in idle:
                if held <= bound:
                    break
                held -= entry.cache.nbytes
                self._entries.remove(entry)
                dropped += 1
            return dropped

    def forget(self, model: int) -> None:
        """Drop the finished sequences of a model, and running ones when they end."""
        with self._lock:
            self._forgotten.add(model)
            self._entries = [e for e in self._entries if e.running or e.model != model]

    @property
    def nbytes(self) -> int:
        """Bytes of all sequences."""
        with self._lock:
            return sum(entry.cache.nbytes for entry in self._entries)

    @property
    def stats(self) -> CacheStats:
        """Figures so far."""
        return CacheStats(len(self._entries), self.nbytes, self.limit, self._hits, self._misses)

    def _touch(self, entry: Entry) -> None:
        entry.used = next(self._clock)


def common_prefix(held: Sequence[int], wanted: NDArray[np.int64]) -> int:
    """Length of the longest common prefix of two token sequences."""
    length = min(len(held), len(wanted))
    if not length or held[0] != wanted[0]:
        return 0
    different = np.flatnonzero(np.asarray(held[:length], dtype=np.int64) != wanted[:length])
    return int(different[0]) if len(different) else length
