"""From the last change of a document to the next edit."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cachetools import LRUCache

from codeface_lsp.assist.next_edit import arguments, rename, siblings
from codeface_lsp.assist.next_edit.history import Change, History
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

Kind = Literal["rename", "argument", "sibling"]

_MOST_DOCUMENTS = 64
_RULES: tuple[tuple[Kind, Callable[[SyntaxTree, Change], list[TextEdit]]], ...] = (
    ("rename", rename.edits),
    ("argument", arguments.edits),
    ("sibling", siblings.edits),
)


@dataclass(frozen=True, slots=True)
class NextEdit:
    """Replace `[start, end)` with `text`; the last change makes it necessary."""

    start: int
    end: int
    text: str
    kind: Kind
    id: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)
    """Names it in the statistics."""


class NextEdits:
    """Watches the changes of all documents and proposes what follows from the last one."""

    def __init__(self, tree: Callable[[Snapshot], SyntaxTree | None]) -> None:
        self._tree = tree
        self._histories: LRUCache[str, History] = LRUCache(_MOST_DOCUMENTS)
        self._proposed: LRUCache[str, list[NextEdit]] = LRUCache(_MOST_DOCUMENTS)

    def opened(self, snapshot: Snapshot) -> None:
        """A document appeared."""
        self._histories[snapshot.uri] = History(snapshot.text)

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> NextEdit | None:
        """A document became `snapshot`; each edit refers to the text that the one before it left.

        Returns the proposal that was carried out by it, if one was.
        """
        history = self._histories.get(snapshot.uri)
        if history is None:
            self.opened(snapshot)
            return None
        proposed = self._proposed.pop(snapshot.uri, []) if len(edits) == 1 else []
        taken = next((edit for edit in proposed if _result(history.text, edit) == snapshot.text), None)
        if taken is not None:
            history.carried(TextEdit(taken.start, taken.end, taken.text))
        else:
            history.edited(list(edits), snapshot.text)
        return taken

    def closed(self, uri: str) -> None:
        """A document is gone."""
        self._histories.pop(uri, None)
        self._proposed.pop(uri, None)

    def propose(self, snapshot: Snapshot, offset: int) -> list[NextEdit]:
        """Edits that finish the change in progress, the nearest after `offset` first; none if none is certain."""
        history = self._histories.get(snapshot.uri)
        if history is None or history.text != snapshot.text:
            return []
        change = history.change()
        tree = self._tree(snapshot) if change is not None else None
        if change is None or tree is None:
            return []
        for kind, rule in _RULES:
            found = [NextEdit(edit.start, edit.end, edit.text, kind) for edit in rule(tree, change)]
            if found:
                known = {edit: edit for edit in self._proposed.get(snapshot.uri, [])}
                found = [known.get(edit, edit) for edit in found]
                found.sort(key=lambda edit: (edit.start < offset, edit.start))
                self._proposed[snapshot.uri] = found
                return found
        return []


def _result(text: str, edit: NextEdit) -> str:
    return text[: edit.start] + edit.text + text[edit.end :]
