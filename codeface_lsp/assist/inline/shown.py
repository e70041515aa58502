"""Hits as the suggestions that an editor shows, and where each of them was shown."""

from __future__ import annotations

from cachetools import LRUCache

from codeface_lsp.assist.inline.finder import Hit
from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.types import Suggestion

_REMEMBERED = 1000


class Shown:
    """Knows the document of each suggestion that was handed out, for clients that report by its id alone."""

    def __init__(self) -> None:
        self._uris: LRUCache[str, str] = LRUCache(_REMEMBERED)

    def suggestion(self, place: Place, hit: Hit) -> Suggestion:
        """What the editor gets; where the popup menu has an item selected, that item extended."""
        entry, start, text = hit.entry, place.offset, hit.rest.text
        end = hit.rest.end
        if place.selected is not None:
            start, end, text = place.selected.start, place.selected.end, place.selected.text + text
        self._uris[entry.group] = place.snapshot.uri
        return Suggestion(entry.group, start, end, text, hit.origin, entry.model, entry.logprob)

    def where(self, suggestion_id: str) -> str:
        """The document's URI; empty if it is not known any more."""
        return self._uris.get(suggestion_id, "")
