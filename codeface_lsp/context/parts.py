"""What a completion's prompt is made of, before any model family's form is applied.

The seam between `context` (which finds the parts) and `endpoints` / `assist` (which send them).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Source(StrEnum):
    """Why a piece of extra context was chosen."""

    DEFINITION = "definition"
    RECENT_EDIT = "recent_edit"
    SIMILAR = "similar"
    NEIGHBOUR = "neighbour"
    SELECTED_ITEM = "selected_item"


@dataclass(frozen=True, slots=True)
class ExtraContext:
    """A piece of another place in the workspace; `filename` is relative to the workspace root."""

    filename: str
    text: str
    source: Source
    tokens: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """Prompt tokens to spend: `total` for everything, at most `extra` and `suffix` of it for those parts.

    The selected item's definition comes on top of `extra`, from what the prefix leaves of `total`.
    """

    total: int
    extra: int
    suffix: int


@dataclass(frozen=True, slots=True)
class Site:
    """What the syntax says about the cursor's place."""

    in_comment: bool = False
    in_string: bool = False
    in_arguments: bool = False
    multiline: bool = False
    """Whether a block of several lines belongs here (an empty body, a blank line at block level)."""
    mid_word: bool = False
    secret: bool = False
    """Whether the cursor's line holds a secret: then nothing is completed here."""
    enclosing: tuple[str, ...] = ()
    """Names of the enclosing scopes, outermost first."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a completion prompt.

    `prefix` ends at the cursor and starts at the anchored top edge; `suffix` starts at the line after the cursor's.
    `line_suffix` is the rest of the cursor's line; a layout puts it before `suffix` only if `line_suffix_matters`
    (it is more than closing brackets, quotes and blanks). While one types within a line, `extra` and `suffix`
    stay the same object-for-object, so that the KV cache of what stands before the prefix stays valid.
    """

    path: str
    language: str
    prefix: str
    line_suffix: str
    suffix: str
    extra: tuple[ExtraContext, ...] = ()
    site: Site = field(default_factory=Site)
    line_suffix_matters: bool = False
    tokens: int = 0
    notices: tuple[str, ...] = ()
    """Sentences for the user about context that had to be left out."""

    @property
    def fim_suffix(self) -> str:
        """The suffix that a fill-in-the-middle prompt shows."""
        return self.line_suffix + self.suffix_with_newline if self.line_suffix_matters else self.suffix

    @property
    def suffix_with_newline(self) -> str:
        """The suffix behind the cursor's line's own line end."""
        return "\n" + self.suffix if self.suffix else ""


class TokenCounter(Protocol):
    """Counts tokens as the model's tokenizer does, or a safe (never too low) estimate."""

    def count(self, text: str) -> int:
        """Return the number of tokens in `text`, special tokens not added."""
        ...
