"""The next edit that the last one makes certain, told from the parse tree alone. Front door: `NextEdits`."""

from __future__ import annotations

from codeface_lsp.assist.next_edit.proposals import NextEdit, NextEdits

__all__ = ["NextEdit", "NextEdits"]
