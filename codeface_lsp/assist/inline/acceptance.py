"""What became of a suggestion, told from the document's changes alone: taken whole or in part, typed, refused, kept.

Only some clients report an acceptance, and none reports a partial one through `command`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from rapidfuzz.distance import LCSseq

from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.types import Observer
from codeface_lsp.text.edits import TextEdit

KEPT_AFTER_S = (30, 300)
_MOST_REGIONS = 64


@dataclass(slots=True)
class _Shown:
    id: str
    written: Written
    reached: int
    """Characters of the suggestion that stand in the text."""
    gained: int = 0
    """Characters that came in by more than one at a time, and so by acceptance."""
    told: int = 0
    """Characters that the client says were taken."""

    @property
    def taken(self) -> int:
        return max(self.gained, self.told)


@dataclass(slots=True)
class _Region:
    """Where accepted text stands now, moved along by later edits."""

    id: str
    start: int
    end: int
    text: str
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Acceptance:
    """Follows one document."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._shown: _Shown | None = None
        self._regions: list[_Region] = []
        self._text = ""

    def show(self, suggestion_id: str, written: Written, reached: int) -> None:
        """A suggestion is on the screen, `reached` of its characters typed already."""
        if self._shown is not None and self._shown.id != suggestion_id:
            self._settle()
        if self._shown is None or self._shown.id != suggestion_id:
            self._shown = _Shown(suggestion_id, written, reached)
        else:
            self._shown.written, self._shown.reached = written, reached

    def changed(self, text: str, edits: Sequence[TextEdit]) -> None:
        """The document is `text` now; each edit refers to what the one before it left."""
        self._text = text
        for edit in edits:
            self._move(edit)
        shown = self._shown
        if shown is None:
            return
        reached = shown.written.reached(text)
        if reached is None:
            self._settle()
            return
        gained = reached - shown.reached
        if gained > 1:
            self._take(shown, shown.reached, reached)
        shown.reached = reached
        if reached == len(shown.written.text):
            self._shown = None

    def told(self, suggestion_id: str, chars: int | None = None) -> None:
        """The client says that the suggestion was taken: whole, or `chars` of it all in all."""
        shown = self._shown
        if shown is None or shown.id != suggestion_id:
            if chars is None:  # the change arrived first, or the suggestion was replaced since
                self._observer.accepted(suggestion_id, 0, whole=True)
            return
        whole = chars is None
        shown.told = max(shown.told, len(shown.written.text) if chars is None else chars)
        self._observer.accepted(suggestion_id, shown.taken, whole=whole)

    def close(self) -> None:
        """The document is gone; nothing is measured any more."""
        self._settle()
        for region in self._regions:
            for timer in region.timers:
                timer.cancel()
        self._regions.clear()

    def _settle(self) -> None:
        shown, self._shown = self._shown, None
        if shown is not None and not shown.taken and shown.reached < len(shown.written.text):
            self._observer.rejected(shown.id)

    def _take(self, shown: _Shown, start: int, end: int) -> None:
        shown.gained += end - start
        self._observer.accepted(shown.id, shown.taken, whole=end == len(shown.written.text))
        base = len(shown.written.prefix)
        region = _Region(shown.id, base + start, base + end, shown.written.text[start:end])
        loop = asyncio.get_running_loop()
        region.timers = [loop.call_later(after, self._measure, region, after) for after in KEPT_AFTER_S]
        self._regions.append(region)
        for old in self._regions[:-_MOST_REGIONS]:
            for timer in old.timers:
                timer.cancel()
        del self._regions[:-_MOST_REGIONS]

    def _move(self, edit: TextEdit) -> None:
        grown = len(edit.text) - (edit.end - edit.start)
        for region in self._regions:
            if edit.end <= region.start:
                region.start += grown
                region.end += grown
            elif edit.start < region.end:
                region.start = min(region.start, edit.start)
                region.end = max(region.end, edit.end) + grown

    def _measure(self, region: _Region, after_s: int) -> None:
        now = self._text[region.start : region.end]
        self._observer.kept(region.id, after_s, round(LCSseq.similarity(region.text, now)))
        if after_s == KEPT_AFTER_S[-1] and region in self._regions:
            self._regions.remove(region)
