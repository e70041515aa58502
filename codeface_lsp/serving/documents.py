"""Texts of open documents as the windows have them: each arrives once and then by its edits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

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
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._neighbours: OrderedDict[str, Mapping[str, str]] = OrderedDict()

    @staticmethod
    def key(client: str, document_id: str) -> str:
        """Two windows may have the same file open with different unsaved text."""
        return f"{client}:{document_id}"

    def update(self, client: str, document: Document) -> str | None:
        """Take in what a request says and return the text of that version, None if it cannot be told."""
        key = self.key(client, document.id)
        text = self._resolve(self._known.get(key), document)
        if text is None:
            self._known.pop(key, None)
            return None
        self._known[key] = Known(document.version, text)
        self._known.move_to_end(key)
        self._evict()
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
        key = self.key(client, document_id)
        self._neighbours[key] = neighbours
        self._neighbours.move_to_end(key)
        while len(self._neighbours) > _MAX_SURROUNDED:
            self._neighbours.popitem(last=False)

    def neighbours(self, client: str, document_id: str) -> Mapping[str, str]:
        """What `surround` was told."""
        return self._neighbours.get(self.key(client, document_id), {})

    def forget(self, client: str, document_id: str) -> None:
        """The document was closed."""
        self._known.pop(self.key(client, document_id), None)
        self._neighbours.pop(self.key(client, document_id), None)

    def _evict(self) -> None:
        chars = sum(len(known.text) for known in self._known.values())
        while len(self._known) > 1 and (len(self._known) > _MAX_DOCUMENTS or chars > _MAX_CHARS):
            _, dropped = self._known.popitem(last=False)
            chars -= len(dropped.text)
