"""Notebooks: their code cells seen as one document, as a kernel sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codeface_lsp.text.snapshot import Snapshot

SEPARATOR = "\n\n"


@dataclass(slots=True)
class _Notebook:
    path: str | None
    cells: tuple[str, ...]


class Notebooks:
    """The open notebooks and the texts of their cells."""

    def __init__(self) -> None:
        self._notebooks: dict[str, _Notebook] = {}
        self._owner: dict[str, str] = {}
        self._texts: dict[str, Snapshot] = {}

    def put(self, uri: str, path: str | None, cells: Sequence[str]) -> None:
        """Know a notebook by the URIs of its code cells, in order."""
        self.drop(uri)
        self._notebooks[uri] = _Notebook(path, tuple(cells))
        self._owner.update(dict.fromkeys(cells, uri))

    def drop(self, uri: str) -> None:
        """Forget a notebook."""
        known = self._notebooks.pop(uri, None)
        for cell in known.cells if known is not None else ():
            self._owner.pop(cell, None)

    def seen(self, snapshot: Snapshot) -> None:
        """A document has this text now; kept only for cells."""
        if snapshot.uri in self._owner or snapshot.uri.startswith("vscode-notebook-cell:"):
            self._texts[snapshot.uri] = snapshot

    def forget(self, uri: str) -> None:
        """A cell was closed."""
        self._texts.pop(uri, None)

    def joined(self, snapshot: Snapshot, offset: int) -> tuple[Snapshot, int]:
        """The whole notebook and the offset in it, for a place in a cell; anything else as it is.

        Cells of other languages than the cell's own (Markdown, SQL magic) are left out.
        """
        owner = self._owner.get(snapshot.uri)
        if owner is None:
            return snapshot, offset
        notebook = self._notebooks[owner]
        pieces: list[str] = []
        at = offset
        before = True
        for uri in notebook.cells:
            cell = snapshot if uri == snapshot.uri else self._texts.get(uri)
            if cell is None or cell.language != snapshot.language:
                continue
            if uri == snapshot.uri:
                before = False
            elif before:
                at += len(cell.text) + len(SEPARATOR)
            pieces.append(cell.text)
        whole = Snapshot(owner, notebook.path, snapshot.language, snapshot.version, SEPARATOR.join(pieces))
        return whole, at
