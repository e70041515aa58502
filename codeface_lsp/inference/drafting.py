"""Drafts for speculative decoding: what followed the last tokens in the prompt and in the edited document.

Prompt lookup (Saxena 2023) verified as in Leviathan et al. 2023. It only pays where text repeats, so the length of a
draft follows how many of its tokens were accepted lately, and after failures it pauses.
"""

from __future__ import annotations

from collections.abc import Sequence

from codeface_lsp.inference.documents import Documents
from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.types import GenerationRequest

FIRST_DRAFT = 2
LONGEST_DRAFT = 16
FIRST_PAUSE = 8
LONGEST_PAUSE = 128
SHORTEST_MATCH = 3


class Drafter:
    """Drafts for one sequence."""

    def __init__(
        self, documents: Documents, request: GenerationRequest, prompt: Sequence[int], *, enabled: bool
    ) -> None:
        self._index: NgramIndex | None = None
        self._length = FIRST_DRAFT
        self._failures = 0
        self._pause = 0
        if enabled:
            self._index = documents.index(request, prompt) or NgramIndex()
            self._index.update("prompt", prompt)
            if request.draft_from:
                self._index.update("draft_from", request.draft_from)
            elif request.document is None:
                self._index.remove("draft_from")

    def draft(self, sequence: Sequence[int], room: int) -> list[int]:
        """At most `room` tokens that may come next; often none."""
        if self._index is None:
            return []
        if self._pause:
            self._pause -= 1
            return []
        return self._index.draft(sequence, min(self._length, room), SHORTEST_MATCH)

    def learned(self, drafted: int, accepted: int) -> None:
        """Adapt to how a draft fared."""
        if accepted == drafted:
            self._length = min(LONGEST_DRAFT, self._length * 2)
            self._failures = 0
        elif accepted:
            self._length = max(FIRST_DRAFT, accepted)
            self._failures = 0
        else:
            self._length = FIRST_DRAFT
            self._pause = min(LONGEST_PAUSE, FIRST_PAUSE << self._failures)
            self._failures += 1
