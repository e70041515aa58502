"""Open documents as the editor sees them.

pygls splits lines with `str.splitlines`, so that a form feed or U+2028 in a file shifts every later position, and
mutates the positions that it converts. This document class applies changes by code-point offsets instead, and keeps
what each change did, so that syntax trees can follow incrementally.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument, Workspace

from codeface_lsp.errors import DocumentError
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.lines import Encoding, LineIndex
from codeface_lsp.text.snapshot import Snapshot

MAX_CHARACTERS = 10_000_000
"""Larger documents are kept in sync, but no model sees them."""


class Document(TextDocument):
    """A text document that hands out immutable snapshots."""

    encoding: Encoding = "utf-16"

    def snapshot(self) -> Snapshot:
        """The document as it is now; the same object until the next change."""
        if self._snapshot is None:
            self._snapshot = Snapshot(
                uri=self.uri,
                path=to_fs_path(self.uri),
                language=self.language_id or "plaintext",
                version=self.version or 0,
                text=self.source,
            )
        return self._snapshot

    _snapshot: Snapshot | None = None

    def apply(self, change: types.TextDocumentContentChangeEvent, version: int) -> TextEdit:
        """Apply one change and return it in code-point offsets of the text before."""
        before = self.snapshot()
        if isinstance(change, types.TextDocumentContentChangePartial):
            edit = TextEdit(*self._span(before.lines, change.range), change.text)
        else:
            edit = TextEdit(0, len(before.text), change.text)
        self._source = before.text[: edit.start] + edit.text + before.text[edit.end :]
        self.version = version
        self._snapshot = None
        return edit

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        """Apply one change (pygls's own entry, used for notebook cells)."""
        self.apply(change, self.version or 0)

    @property
    def lines(self) -> Sequence[str]:
        """The lines with their line ends, split as LSP says."""
        index = self.snapshot().lines
        starts = [*index.starts[1:], len(index.text)]
        return tuple(index.text[start:end] for start, end in zip(index.starts, starts, strict=True))

    def _span(self, lines: LineIndex, span: types.Range) -> tuple[int, int]:
        start = lines.offset(span.start.line, span.start.character, self.encoding)
        end = lines.offset(span.end.line, span.end.character, self.encoding)
        return min(start, end), max(start, end)


class Documents(Workspace):
    """All open documents, by URI."""

    @classmethod
    def replacing(cls, workspace: Workspace) -> Documents:
        """Take over from the workspace that pygls made at `initialize`."""
        return cls(
            workspace.root_uri,
            types.TextDocumentSyncKind.Incremental,
            list(workspace.folders.values()),
            workspace.position_encoding,
        )

    @property
    def encoding(self) -> Encoding:
        """The negotiated unit of `Position.character`."""
        match str(getattr(self.position_encoding, "value", self.position_encoding)):
            case "utf-8":
                return "utf-8"
            case "utf-32":
                return "utf-32"
        return "utf-16"

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> Document:
        document = Document(doc_uri, source, version, language_id, position_codec=self.position_codec)
        document.encoding = self.encoding
        return document

    def open_document(self, uri: str) -> Document | None:
        """Return an open document, None if the editor has not opened it."""
        document = self.get_text_document(uri)
        return document if isinstance(document, Document) and document._source is not None else None

    def snapshot(self, uri: str) -> Snapshot:
        """Snapshot of an open document; raises `DocumentError` where no model can help with it."""
        document = self.open_document(uri)
        if document is None:
            raise DocumentError(
                f"{_name(uri)} is not open in the editor; open it and try again.", kind="not_open"
            )
        snapshot = document.snapshot()
        if len(snapshot.text) > MAX_CHARACTERS:
            raise DocumentError(
                f"{_name(uri)} is larger than {MAX_CHARACTERS // 1_000_000} MB; CodeFace leaves such files alone.",
                kind="too_large",
            )
        if "\0" in snapshot.text[:8192]:
            raise DocumentError(f"{_name(uri)} is a binary file; CodeFace works on text only.", kind="binary")
        return snapshot


def _name(uri: str) -> str:
    path = to_fs_path(uri)
    return PurePath(path).name if path else uri
