"""The change that the user is making: everything since the document last held still elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from codeface_lsp.text.diff import changed_span
from codeface_lsp.text.edits import TextEdit

_MOST_CHANGED = 400


@dataclass(frozen=True, slots=True)
class Change:
    """`old` became `new` at `start` of the text as it is now."""

    start: int
    old: str
    new: str
    before: str
    """The whole text before the change."""

    @property
    def end(self) -> int:
        """End of the changed text as it is now."""
        return self.start + len(self.new)


class History:
    """Joins the edits of one line, key by key, to one change; an edit elsewhere begins the next.

    A key costs no pass over the text: the span that changed since `_base` is carried along.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._base = text
        self._span: tuple[int, int, int] | None = None
        """`_base[start:old_end]` became `text[start:new_end]`."""

    def edited(self, edits: list[TextEdit], text: str) -> None:
        """The text became `text`."""
        for number, edit in enumerate(edits, 1):
            if not self._continues(edit):
                self._base, self._span = self.text, None
            self._span = _widened(self._span, edit)
            last = number == len(edits)
            self.text = text if last else self.text[: edit.start] + edit.text + self.text[edit.end :]
        if self._span is None or len(text) - len(self._base) != self._span[2] - self._span[1]:
            self.text, self._base, self._span = text, text, None  # the document was replaced under us

    def carried(self, edit: TextEdit) -> None:
        """An edit that we proposed: it happened before the change too, so that the change stays what it was."""
        if self._span is not None:
            start, old_end, new_end = self._span
            behind = edit.start >= new_end
            shift = old_end - new_end if behind else 0
            at, end = edit.start + shift, edit.end + shift
            self._base = self._base[:at] + edit.text + self._base[end:]
            if not behind:
                grown = len(edit.text) - (edit.end - edit.start)
                self._span = (start + grown, old_end + grown, new_end + grown)
        self.text = self.text[: edit.start] + edit.text + self.text[edit.end :]

    def change(self) -> Change | None:
        """The change in progress, widened to whole words; None if there is none, or a large one."""
        if self._span is None or max(self._span[1], self._span[2]) - self._span[0] > _MOST_CHANGED:
            return None
        start, old_end, new_end = self._span
        inner = changed_span(self._base[start:old_end], self.text[start:new_end])
        if inner is None:
            return None
        start, old_end, new_end = start + inner[0], start + inner[1], start + inner[2]
        while start > 0 and _word(self.text[start - 1]):
            start -= 1
        while new_end < len(self.text) and _word(self.text[new_end]):
            new_end, old_end = new_end + 1, old_end + 1
        return Change(start, self._base[start:old_end], self.text[start:new_end], self._base)

    def _continues(self, edit: TextEdit) -> bool:
        if self._span is None or "\n" in edit.text:
            return False
        start, _, end = self._span
        low, high = min(start, edit.start), max(end, edit.end)
        return high - low <= _MOST_CHANGED and "\n" not in self.text[low:high]


def _widened(span: tuple[int, int, int] | None, edit: TextEdit) -> tuple[int, int, int]:
    """The span with another edit in it, not necessarily the smallest one."""
    start, old_end, new_end = span if span is not None else (edit.start, edit.start, edit.start)
    start = min(start, edit.start)
    if edit.end > new_end:
        old_end, new_end = old_end + edit.end - new_end, edit.end
    return start, old_end, new_end + len(edit.text) - (edit.end - edit.start)


def _word(sign: str) -> bool:
    return sign == "_" or sign.isalnum()
