"""What inline completion takes and gives. Offsets are code points of the snapshot's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from codeface_lsp.context.parts import Budget, Parts, TokenCounter
from codeface_lsp.context.syntax import SyntaxTree
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.neighbours import Neighbour

Origin = Literal["engine", "joined", "cache", "prefetch", "next edit"]
"""A generation of its own; one that an older request started; typing-through; computed as if accepted; no model."""


@dataclass(frozen=True, slots=True)
class SelectedItem:
    """The popup menu's selected item, which would replace `[start, end)` with `text`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Ghost text: accepting it replaces `[start, end)`, which stays on the cursor's line, with `text`."""

    id: str
    start: int
    end: int
    text: str
    origin: Origin
    model: str = ""
    logprob: float | None = None
    """Mean log-probability (nats) of its tokens, None if the server does not tell."""


class ContextSource(Protocol):
    """What the completer needs of the workspace."""

    def excluded(self, path: str | None) -> str | None:
        """Why no model may see this file, None if it may."""
        ...

    def build(
        self, snapshot: Snapshot, offset: int, budget: Budget, counter: TokenCounter, selected: str = ""
    ) -> Parts:
        """Find the parts of a completion prompt; `selected` is the popup's item that ends at `offset`."""
        ...

    def tree(self, snapshot: Snapshot) -> SyntaxTree | None:
        """The syntax tree of a snapshot, None where there is no grammar."""
        ...

    def neighbours(self, snapshot: Snapshot) -> Sequence[Neighbour]:
        """Whole files next to a document, the nearest first."""
        ...


class Observer(Protocol):
    """Hears what became of requests and suggestions; never any text."""

    def request(self, language: str, model: str, outcome: str, latency_ms: float) -> None:
        """A request was answered: `outcome` is an `Origin`, `superseded`, `cancelled`, `error` or a reason for none."""
        ...

    def shown(self, suggestion: Suggestion, language: str, *, invoked: bool, latency_ms: float) -> None:
        """A suggestion went to the editor."""
        ...

    def accepted(self, suggestion_id: str, chars: int, *, whole: bool) -> None:
        """So many of its characters, all in all, were taken."""
        ...

    def rejected(self, suggestion_id: str) -> None:
        """The text went another way."""
        ...

    def kept(self, suggestion_id: str, after_s: int, chars: int) -> None:
        """So many of the characters taken still stand `after_s` seconds later."""
        ...
