"""From the last change of a document to the next edit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

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

    @property
    def id(self) -> str:
        """Names it in the statistics."""
        return f"{self.kind}-{self.start}-{len(self.text)}"


class NextEdits:
    """Watches the changes of all documents and proposes what follows from the last one."""

    def __init__(self, tree: Callable[[Snapshot], SyntaxTree | None]) -> None:
        self._tree = tree
        self._histories: OrderedDict[str, History] = OrderedDict()
        self._proposed: dict[str, list[NextEdit]] = {}

    def opened(self, snapshot: Snapshot) -> None:
        """A document appeared."""
        self._histories[snapshot.uri] = History(snapshot.text)
        while len(self._histories) > _MOST_DOCUMENTS:
            self.closed(next(iter(self._histories)))

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """A document became `snapshot`; each edit refers to the text that the one before it left."""
        history = self._histories.get(snapshot.uri)
        if history is None:
            self.opened(snapshot)
            return
        self._histories.move_to_end(snapshot.uri)
        proposed = self._proposed.pop(snapshot.uri, [])
        if len(edits) == 1 and self._is_ours(proposed, history, snapshot.text):
            first = next(p for p in proposed if _result(history.text, p) == snapshot.text)
            history.carried(TextEdit(first.start, first.end, first.text))
        else:
            history.edited(list(edits), snapshot.text)

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
                found.sort(key=lambda edit: (edit.start < offset, edit.start))
                self._proposed[snapshot.uri] = found
                return found
        return []

    @staticmethod
    def _is_ours(proposed: list[NextEdit], history: History, text: str) -> bool:
        return any(_result(history.text, edit) == text for edit in proposed)


def _result(text: str, edit: NextEdit) -> str:
    return text[: edit.start] + edit.text + text[edit.end :]
