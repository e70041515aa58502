"""An immutable view of a document at one version.

A handler takes its snapshot before the first `await`; whatever happens to the document afterwards, it keeps
working on what the user saw when the request was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from codeface_lsp.text.lines import LineIndex


@dataclass(frozen=True)
class Snapshot:
    """A document's text at `version`; `path` is None for documents without a file (`untitled:`).

    `language` is the LSP language id (`python`, `typescriptreact`). Offsets are code-point indices into `text`.
    """

    uri: str
    path: str | None
    language: str
    version: int
    text: str

    @cached_property
    def lines(self) -> LineIndex:
        """Line starts of the text, computed once."""
        return LineIndex(self.text)
