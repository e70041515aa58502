"""Texts of open documents as the windows have them: each arrives once and then by its edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from codeface_lsp.serving.schema import Document

_MAX_DOCUMENTS = 64
_MAX_CHARS = 64 * 1024 * 1024
_MAX_SURROUNDED = 32


@dataclass(frozen=True, slots=True)
class Known:
    """A document's text at one version."""

    version: int
    text: str


class Documents:
    """Least recently used ones are dropped; a window that still has one open sends it again."""

    def __init__(self) -> None:
        self._known: LRUCache[str, Known] = LRUCache(_MAX_CHARS, _room)
        self._neighbours: LRUCache[str, Mapping[str, str]] = LRUCache(_MAX_SURROUNDED)

    @staticmethod
    def key(client: str, document_id: str) -> str:
        """Two windows may have the same file open with different unsaved text."""
        return f"{client}:{document_id}"

    def update(self, client: str, document: Document) -> str | None:
        """Take in what a request says and return the text of that version, None if it cannot be told."""
        key = self.key(client, document.id)
        text = self._resolve(self._known.get(key), document)
        if text is None or len(text) > _MAX_CHARS:
            self._known.pop(key, None)
        else:
            self._known[key] = Known(document.version, text)
        return text

    def _resolve(self, known: Known | None, document: Document) -> str | None:
        if document.base is None:
            if document.text is not None:
                return document.text
            return known.text if known is not None and known.version == document.version else None
        start, end = document.start, document.end
        if known is None or known.version != document.base or start is None or end is None:
            return None
        if not start <= end <= len(known.text):
            return None
        return known.text[:start] + (document.text or "") + known.text[end:]

    def surround(self, client: str, document_id: str, neighbours: Mapping[str, str]) -> None:
        """Keep the texts of the files next to a document, by name, in place of those before."""
        self._neighbours[self.key(client, document_id)] = neighbours

    def neighbours(self, client: str, document_id: str) -> Mapping[str, str]:
        """What `surround` was told."""
        return self._neighbours.get(self.key(client, document_id), {})

    def forget(self, client: str, document_id: str) -> None:
        """The document was closed."""
        self._known.pop(self.key(client, document_id), None)
        self._neighbours.pop(self.key(client, document_id), None)


def _room(known: Known) -> int:
    """How much of `_MAX_CHARS` a document takes: a short one its share, so that there are not too many of them."""
    return max(len(known.text), _MAX_CHARS // _MAX_DOCUMENTS)
