"""Ghost text: from a key to a suggestion, or to a good reason for none. Front door: `InlineCompleter`."""

from __future__ import annotations

from codeface_lsp.assist.inline.completer import InlineCompleter
from codeface_lsp.assist.inline.types import ContextSource, SelectedItem, Suggestion

__all__ = ["ContextSource", "InlineCompleter", "SelectedItem", "Suggestion"]
