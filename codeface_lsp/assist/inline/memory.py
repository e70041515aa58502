"""Suggestions that were found, so that typing along one asks no model: exact, bounded, newest first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from codeface_lsp.assist.inline.anchors import Rest, Written
from codeface_lsp.assist.inline.types import Origin

MAX_ENTRIES = 256
MAX_CHARS = 8_000_000
"""Each entry holds its document's text, because only an exact comparison can't show something stale."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A vetted suggestion with its figures; `group` is shared by all the rests of one generation."""

    uri: str
    written: Written
    group: str
    model: str = ""
    logprob: float | None = None
    prefetched: bool = False
    sampled: bool = False
    """An alternative: shown after what the model finds likeliest."""

    @property
    def origin(self) -> Origin:
        """Where an answer from here comes from."""
        return "prefetch" if self.prefetched else "cache"


class SuggestionMemory:
    """LRU of entries, over all documents."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_chars: int = MAX_CHARS) -> None:
        self._max_entries = max_entries
        self._max_chars = max_chars
        self._entries: OrderedDict[tuple[str, str, str], Entry] = OrderedDict()
        self._chars = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Remember an entry; the oldest leave when there is no room."""
        key = (entry.uri, entry.group, entry.written.text)
        self._drop(key)
        self._entries[key] = entry
        self._chars += entry.written.size
        while len(self._entries) > 1 and (
            len(self._entries) > self._max_entries or self._chars > self._max_chars
        ):
            self._drop(next(iter(self._entries)))

    def find(self, uri: str, text: str, offset: int) -> list[tuple[Entry, Rest]]:
        """All entries whose suggestion the text follows: the newest first, alternatives last. A hit counts as use."""
        hits = [
            (entry, rest)
            for entry in reversed(self._entries.values())
            if entry.uri == uri and (rest := entry.written.rest(text, offset)) is not None
        ]
        for entry, _ in reversed(hits):
            self._entries.move_to_end((entry.uri, entry.group, entry.written.text))
        return sorted(hits, key=lambda hit: hit[0].sampled)

    def forget(self, uri: str) -> None:
        """Drop what belongs to a document."""
        for key in [key for key in self._entries if key[0] == uri]:
            self._drop(key)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()
        self._chars = 0

    def _drop(self, key: tuple[str, str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._chars -= entry.written.size
