"""Reasons to stay silent that need no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import pathspec

from codeface_lsp.assist.inline.place import Place
from codeface_lsp.context.parts import Site
from codeface_lsp.context.sites import closing_only
from codeface_lsp.settings import CompletionSettings
from codeface_lsp.workspace import redaction

Silence = Literal[
    "off", "paused", "language", "path", "excluded", "mid_word", "text_right", "comment", "string", "secret"
]
PauseScope = Literal["language", "file", "workspace"]

MOST_CHARS_RIGHT = 8
"""With more than this behind the cursor an automatic suggestion is rarely wanted (llama.vim's limit)."""

_WORD = re.compile(r"\w")


@dataclass(slots=True)
class Pauses:
    """What the user paused, until resumed or the server ends."""

    everything: bool = False
    languages: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def set(self, scope: PauseScope, value: str, paused: bool) -> None:
        """Pause or resume a language id, a document's URI, or the whole workspace."""
        if scope == "workspace":
            self.everything = paused
            return
        names = self.languages if scope == "language" else self.files
        (names.add if paused else names.discard)(value)

    def covers(self, uri: str, language: str) -> bool:
        """Whether a document is paused."""
        return self.everything or language in self.languages or uri in self.files


def silence(place: Place, settings: CompletionSettings, pauses: Pauses, *, invoked: bool) -> Silence | None:
    """Why nothing is suggested here, by settings and by the text of the line; None to go on."""
    snapshot = place.snapshot
    if not settings.enabled:
        return "off"
    if pauses.covers(snapshot.uri, snapshot.language):
        return "paused"
    if snapshot.language in settings.disabled_languages:
        return "language"
    if settings.disabled_paths and snapshot.path and _matches(snapshot.path, tuple(settings.disabled_paths)):
        return "path"
    if invoked or place.selected is not None:
        return None
    if _WORD.match(place.rest):
        return "mid_word"
    rest = place.rest.strip()
    if len(rest) > MOST_CHARS_RIGHT and not closing_only(rest):
        return "text_right"
    return None


def silence_by_content(
    place: Place, site: Site, settings: CompletionSettings, *, invoked: bool
) -> Silence | None:
    """Why nothing is asked here: a secret on the line, or what the parse tree says about the place."""
    if redaction.secret_at(place.text, place.offset):
        return "secret"
    if invoked:
        return None
    if site.in_comment and not settings.in_comments:
        return "comment"
    if site.in_string and not settings.in_strings:
        return "string"
    return None


@lru_cache(maxsize=16)
def _spec(patterns: Sequence[str]) -> pathspec.PathSpec[Any]:
    return pathspec.PathSpec.from_lines("gitignore", patterns)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return bool(_spec(patterns).match_file(path.lstrip("/")))
