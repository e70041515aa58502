"""Which text of each open document the engine has, so that a key press sends one edit and not the whole file."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

from codeface_lsp.endpoints.types import DocumentText, Neighbours

_KEPT = 32


class SentDocuments:
    """Texts that the engine acknowledged, those of the documents that were used last."""

    def __init__(self) -> None:
        self._sent: LRUCache[str, DocumentText] = LRUCache(_KEPT)
        self._surrounded: LRUCache[str, Neighbours] = LRUCache(_KEPT)

    def field(self, document: DocumentText) -> dict[str, Any]:
        """The `document` field of a request: bare if known, one edit if its predecessor is known, else whole."""
        known = self._sent.get(document.id)
        self._sent[document.id] = document
        body: dict[str, Any] = {"id": document.id, "version": document.version}
        if known is None:
            return body | {"text": document.text}
        if known.version == document.version and known.text == document.text:
            return body
        start, end, text = difference(known.text, document.text)
        return body | {"base": known.version, "start": start, "end": end, "text": text}

    def has_news(self, document: DocumentText) -> bool:
        """Whether its neighbours are other ones than the engine was told; from now on they are not."""
        neighbours = document.neighbours
        if neighbours is None or self._surrounded.get(document.id) is neighbours:
            return False
        self._surrounded[document.id] = neighbours
        return True

    def not_taken(self, document: DocumentText) -> None:
        """Its neighbours did not arrive: they are news again."""
        if self._surrounded.get(document.id) is document.neighbours:
            self._surrounded.pop(document.id, None)

    def forget(self, document_id: str) -> None:
        """The engine does not have it (any more)."""
        self._sent.pop(document_id, None)
        self._surrounded.pop(document_id, None)

    def clear(self) -> None:
        """A new engine knows nothing."""
        self._sent.clear()
        self._surrounded.clear()


def difference(old: str, new: str) -> tuple[int, int, str]:
    """Return the smallest single replacement `(start, end, text)` in `old`, in code points, that makes `new`."""
    limit = min(len(old), len(new))
    start = _common(limit, lambda n: old[:n] == new[:n])
    tail = _common(limit - start, lambda n: n == 0 or old[-n:] == new[-n:])
    return start, len(old) - tail, new[start : len(new) - tail]


def _common(limit: int, agrees: Any) -> int:
    """Largest n <= limit for which `agrees(n)`, which is true up to some n and false from there on."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if agrees(middle):
            low = middle
        else:
            high = middle - 1
    return low
