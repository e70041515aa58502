"""One definition that a prompt should show."""

from __future__ import annotations

from dataclasses import dataclass

from codeface_lsp.workspace.store import Symbol


@dataclass(frozen=True, slots=True)
class Wanted:
    """A definition worth showing, and why; a lower `rank` is shown first."""

    symbol: Symbol
    rank: float
    reason: str
    in_sight: bool = False
    """Whether its name stands in the window: then it is shown with its full signature."""
    brief: bool = False
    """One of many, imported or possible behind a dot: its name alone will do, where there is no room for more."""
