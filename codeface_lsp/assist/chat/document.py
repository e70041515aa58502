"""A conversation as a Markdown document, and an answer that streams into it while the user types.

Invariants of `DocumentStream`: at most one edit is in flight, it inserts only (so nothing the user typed is ever lost),
and it goes to the end of what the answer has so far, followed through the user's own edits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from codeface_lsp.assist.chat.conversation import Turn
from codeface_lsp.prompting.code_blocks import fence_after
from codeface_lsp.text.diff import changed_span
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot

HEADER = "# CodeFace chat\n\nWrite below the last heading, then run the code action “CodeFace: send”.\n"
YOU, CODEFACE = "## You", "## CodeFace"
MAX_REFUSALS = 3

_HEADING = re.compile(r"^## (You|CodeFace)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Section:
    """What one side wrote: `text` without the heading, `[start, end)` its place in the document."""

    role: Literal["user", "assistant"]
    text: str
    start: int
    end: int


def said(turns: Sequence[Turn]) -> str:
    """What was said, each turn under its heading."""
    return "\n".join(
        f"{YOU if turn.role == 'user' else CODEFACE}\n\n{turn.content.strip()}\n" for turn in turns
    )


def render(turns: Sequence[Turn], message: str = "") -> str:
    """Text of a chat document that shows `turns` and ends with the beginning of the user's next one."""
    return "\n".join([HEADER, *([said(turns)] if turns else []), f"{YOU}\n\n{message}\n"])


def sections(text: str) -> list[Section]:
    """The document's turns; headings inside code blocks are not headings."""
    marks: list[tuple[Literal["user", "assistant"], int, int]] = []
    fence = ""
    offset = 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n")
        inside, fence = fence, fence_after(fence, bare)
        if not inside and (heading := _HEADING.match(bare)):
            role: Literal["user", "assistant"] = "user" if heading[1] == "You" else "assistant"
            marks.append((role, offset, offset + len(line)))
        offset += len(line)
    ends = [*(start for _, start, _ in marks[1:]), len(text)]
    return [
        Section(role, text[body:end].strip(), body, end)
        for (role, _, body), end in zip(marks, ends, strict=False)
    ]


def turns(found: Sequence[Section]) -> list[Turn]:
    """What was said before the last section, since the last `/clear`."""
    said = [Turn(s.role, s.text) for s in found[:-1] if s.text]
    cleared = max((n for n, turn in enumerate(said) if turn.content == "/clear"), default=-2)
    return said[cleared + 2 :]


class DocumentStream:
    """An answer on its way into a document. Hears the document's changes as a `Follower`."""

    def __init__(self, snapshot: Snapshot, position: int) -> None:
        self.snapshot = snapshot
        self.position = position
        self.is_closed = False
        self.is_finished = False
        self._pending = ""
        self._in_flight: str | None = None
        self._late: str | None = None
        self._echoed = False
        self._is_applied = False
        self._refusals = 0

    @property
    def in_flight(self) -> bool:
        """Whether an edit was sent whose didChange has not come."""
        return self._in_flight is not None

    @property
    def rest(self) -> str:
        """What has not reached the document."""
        return (self._in_flight or "") + self._pending

    @property
    def gave_up(self) -> bool:
        """Whether too many edits were refused: the rest waits for `finish`."""
        return self._refusals >= MAX_REFUSALS and not self.is_finished

    def add(self, text: str) -> None:
        """Queue a piece of the answer."""
        self._pending += text

    def next_edit(self) -> TextEdit | None:
        """The next insertion, for `snapshot`; None while one is in flight or nothing is queued."""
        if self._in_flight is not None or not self._pending or self.is_closed or self.gave_up:
            return None
        if self._refusals >= MAX_REFUSALS:
            self.position = len(self.snapshot.text)
        self._in_flight, self._pending, self._echoed = self._pending, "", False
        self._is_applied = False
        return TextEdit(self.position, self.position, self._in_flight)

    def applied(self) -> None:
        """The client applied it. Its didChange may have come before this, or comes yet."""
        self._refusals = 0
        self._is_applied = True
        if self._echoed:
            self._in_flight = None

    def refused(self) -> None:
        """The client refused it, because the document had moved on: its text goes back to the front of the queue."""
        if self._in_flight is not None and not self._echoed:
            self._pending = self._in_flight + self._pending
            self._refusals += 1
        self._in_flight = None

    def settle(self) -> None:
        """No didChange has come for an edit that was applied: wait for it no longer, but know it when it comes."""
        self._late, self._in_flight = self._in_flight, None

    def finish(self) -> None:
        """The answer is complete: after too many refusals, what is left goes to the document's end."""
        self.is_finished = True

    def changed(self, snapshot: Snapshot, edits: Sequence[TextEdit]) -> None:
        """Follow a change, the user's or the echo of our own."""
        for edit in edits:
            self._follow(edit)
        self.snapshot = snapshot
        self.position = max(0, min(self.position, len(snapshot.text)))

    def closed(self) -> None:
        """The document was closed."""
        self.is_closed = True

    def _follow(self, edit: TextEdit) -> None:
        if edit.start == 0 and edit.end >= len(self.snapshot.text) > 0:
            narrowed = self._narrowed(edit.text)  # a client that sends whole documents
            if narrowed is None:
                return
            edit = narrowed
        if not self._echoed and _inserts(edit, self._in_flight):
            self.position = edit.start + len(edit.text)
            self._echoed = True
            if self._is_applied:
                self._in_flight = None
        elif edit.start == self.position and _inserts(edit, self._late):
            self.position += len(edit.text)
            self._late = None
        elif edit.end <= self.position and not (edit.start == edit.end == self.position):
            self.position += len(edit.text) - (edit.end - edit.start)
        elif edit.start < self.position:
            self.position = edit.start + len(edit.text)  # the answer's end was replaced: it goes on behind

    def _narrowed(self, new: str) -> TextEdit | None:
        """What changed in a whole text: our own insertion if it can be that; a difference has several readings."""
        old = self.snapshot.text
        for ours in (self._in_flight, self._late):
            if ours is not None and new == old[: self.position] + ours + old[self.position :]:
                return TextEdit(self.position, self.position, ours)
        span = changed_span(old, new)
        return None if span is None else TextEdit(span[0], span[1], new[span[0] : span[2]])


def _inserts(edit: TextEdit, text: str | None) -> bool:
    """Whether an edit inserts this text and takes nothing away."""
    if text is None or edit.end != edit.start:
        return False
    return edit.text.replace("\r\n", "\n") == text.replace("\r\n", "\n")
