"""What was edited recently: a ring of chunks, each once, the newest last."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rapidfuzz import fuzz

from codeface_lsp.text.diff import changed_span
from codeface_lsp.text.snapshot import Snapshot

CHUNKS = 16
_AROUND = 4
_MAX_LINES = 40
_FAR = 32
"""Lines between two edits that do not belong to one chunk."""
_SAME = 90.0
_MAX_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class EditedChunk:
    """Some lines of a file as they were after an edit; `start` and `end` are line numbers, `end` not included."""

    uri: str
    path: str
    start: int
    end: int
    text: str


@dataclass(slots=True)
class _Region:
    snapshot: Snapshot
    path: str
    first: int
    last: int


class RecentEdits:
    """Follows the edits of all documents; a chunk enters the ring when the editing goes on elsewhere."""

    def __init__(self) -> None:
        self._chunks: deque[EditedChunk] = deque(maxlen=CHUNKS)
        self._texts: dict[str, Snapshot] = {}
        self._region: _Region | None = None

    def opened(self, snapshot: Snapshot) -> None:
        """Know a document's text, to see what changes."""
        self._texts[snapshot.uri] = snapshot

    def changed(self, snapshot: Snapshot, path: str) -> None:
        """A document changed."""
        before = self._texts.get(snapshot.uri)
        self._texts[snapshot.uri] = snapshot
        span = changed_span(before.text, snapshot.text) if before is not None else None
        if span is None:
            return
        first = snapshot.text.count("\n", 0, span[0])
        last = first + snapshot.text.count("\n", span[0], span[2])
        if last - first > _MAX_LINES:  # a paste or a formatter: not what somebody works on
            return
        region = self._region
        if region is not None and region.snapshot.uri == snapshot.uri and _near(region, first, last):
            region.snapshot, region.first, region.last = (
                snapshot,
                min(region.first, first),
                max(region.last, last),
            )
            if region.last - region.first > _MAX_LINES:
                region.first = max(region.first, last - _MAX_LINES)
                region.last = min(region.last, region.first + _MAX_LINES)
            return
        self.flush()
        self._region = _Region(snapshot, path, first, last)

    def closed(self, uri: str) -> None:
        """A document was closed; what was edited in it stays of interest."""
        if self._region is not None and self._region.snapshot.uri == uri:
            self.flush()
        self._texts.pop(uri, None)

    def flush(self) -> None:
        """Put the chunk that is being edited into the ring."""
        region, self._region = self._region, None
        if region is None:
            return
        lines = region.snapshot.lines
        start = max(0, region.first - _AROUND)
        end = min(len(lines), region.last + 1 + _AROUND)
        text = region.snapshot.text[lines.starts[start] : lines.line_end(end - 1)][:_MAX_CHARS]
        if text.strip():
            self._push(EditedChunk(region.snapshot.uri, region.path, start, end, text.strip("\n")))

    def has(self, uri: str) -> bool:
        """Whether there are chunks of a document."""
        return any(chunk.uri == uri for chunk in self._chunks)

    def elsewhere(self, uri: str, start: int, end: int) -> list[EditedChunk]:
        """Chunks outside of lines `[start, end)` of a document, the newest first."""
        return [c for c in reversed(self._chunks) if c.uri != uri or c.end <= start or c.start >= end]

    def _push(self, chunk: EditedChunk) -> None:
        kept = [
            old
            for old in self._chunks
            if not (old.uri == chunk.uri and old.start < chunk.end and chunk.start < old.end)
            and fuzz.ratio(old.text, chunk.text, score_cutoff=_SAME) < _SAME
        ]
        self._chunks.clear()
        self._chunks.extend([*kept, chunk])


def _near(region: _Region, first: int, last: int) -> bool:
    return first - region.last <= _FAR and region.first - last <= _FAR
