"""Keeps a family's special tokens out of the text, for servers that send them as text."""

from __future__ import annotations

from collections.abc import Sequence


class MarkerCutter:
    """Lets streamed text through up to the first marker; holds back what may be a marker's beginning."""

    def __init__(self, markers: Sequence[str]) -> None:
        self._markers = [marker for marker in markers if marker]
        self._held = ""
        self.found = False

    def feed(self, text: str, *, last: bool = False) -> str:
        """Text that can be shown now; after a marker was `found`, nothing more."""
        if self.found:
            return ""
        held = self._held + text
        places = [held.find(marker) for marker in self._markers]
        if any(place >= 0 for place in places):
            self.found = True
            return held[: min(place for place in places if place >= 0)]
        keep = 0 if last else self._possible_beginning(held)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def _possible_beginning(self, text: str) -> int:
        """Length of the longest end of `text` with which a marker begins."""
        longest = max((len(marker) for marker in self._markers), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(marker.startswith(text[-length:]) for marker in self._markers):
                return length
        return 0
