"""A range of an open document, followed through the user's edits while a job runs.

What is typed before it moves it, what is typed behind it does not matter, and what changes inside it ends it. An edit
that covers the range but leaves its text as it was (a client that sends whole documents) is seen through by diff.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from codeface_lsp.errors import EditRefused
from codeface_lsp.text.diff import minimal_edits
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

Lost = str
"""Why a range is lost, as the middle of a sentence."""


class Follower(Protocol):
    """Whoever wants to hear what happens to one open document."""

    snapshot: Snapshot

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """The document moved on."""
        ...

    def closed(self) -> None:
        """The document was closed."""
        ...


class TrackedRange:
    """`[start, end)` of the newest snapshot, as long as nothing changed inside it."""

    def __init__(self, snapshot: Snapshot, start: int, end: int) -> None:
        self.snapshot = snapshot
        self.start = start
        self.end = end
        self._lost: Lost | None = None

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """Follow a change; `edits`, applied one after the other, lead from the last snapshot to this one."""
        if self._lost is None and not self._follow(edits) and not self._follow(self._diff(snapshot)):
            self._lost = "it was changed meanwhile"
        self.snapshot = snapshot

    def move_to(self, snapshot: Snapshot) -> None:
        """Follow to a newer snapshot whose edits nobody saw."""
        self.changed(snapshot, self._diff(snapshot))

    def closed(self) -> None:
        """The document was closed."""
        self._lost = "the document was closed meanwhile"

    def check(self) -> None:
        """Raise `EditRefused` if the range is lost."""
        if self._lost is not None:
            raise EditRefused(f"Nothing was edited, because {self._lost}; ask again.", kind="stale")

    def _diff(self, snapshot: Snapshot) -> list[TextEdit]:
        """The change as edits from the last to the first, so that each one's offsets hold when it is applied."""
        return list(reversed(minimal_edits(self.snapshot.text, snapshot.text)))

    def _follow(self, edits: Sequence[TextEdit]) -> bool:
        start, end = self.start, self.end
        for edit in edits:
            if edit.end <= start:
                shift = len(edit.text) - (edit.end - edit.start)
                start, end = start + shift, end + shift
            elif edit.start < end:
                return False
        self.start, self.end = start, end
        return True
