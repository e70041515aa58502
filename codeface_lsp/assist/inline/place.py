"""The cursor's place in a snapshot, as if the popup menu's selected item were accepted already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from codeface_lsp.assist.inline.types import SelectedItem
from codeface_lsp.text.snapshot import Snapshot


@dataclass(frozen=True)
class Place:
    """A cursor in a text. `snapshot` is hypothetical if an item is selected; `real` is what the editor has."""

    snapshot: Snapshot
    offset: int
    real: Snapshot
    selected: SelectedItem | None = None

    @classmethod
    def at(cls, snapshot: Snapshot, offset: int, selected: SelectedItem | None = None) -> Place:
        """The place of a request; an offset outside of the text is clamped."""
        offset = max(0, min(offset, len(snapshot.text)))
        if selected is None:
            return cls(snapshot, offset, snapshot)
        text = snapshot.text[: selected.start] + selected.text + snapshot.text[selected.end :]
        return cls(replace(snapshot, text=text), selected.start + len(selected.text), snapshot, selected)

    @property
    def text(self) -> str:
        """The whole text."""
        return self.snapshot.text

    @cached_property
    def prefix(self) -> str:
        """Everything before the cursor."""
        return self.text[: self.offset]

    @cached_property
    def suffix(self) -> str:
        """Everything from the cursor on."""
        return self.text[self.offset :]

    @cached_property
    def before(self) -> str:
        """The cursor's line up to the cursor."""
        start = max(self.text.rfind("\n", 0, self.offset), self.text.rfind("\r", 0, self.offset)) + 1
        return self.text[start : self.offset]

    @cached_property
    def line_end(self) -> int:
        """Offset of the end of the cursor's line, before its line end."""
        ends = [at for sign in "\r\n" if (at := self.text.find(sign, self.offset)) >= 0]
        return min(ends, default=len(self.text))

    @cached_property
    def rest(self) -> str:
        """The cursor's line from the cursor on, without its line end."""
        return self.text[self.offset : self.line_end]

    def lines_above(self, count: int) -> list[str]:
        """The last `count` lines above the cursor's that are not blank, nearest first."""
        found: list[str] = []
        end = self.offset - len(self.before)
        while end > 0 and len(found) < count:
            start = self.text.rfind("\n", 0, end - 1) + 1
            line = self.text[start:end].rstrip()
            if line:
                found.append(line)
            end = start
        return found

    def lines_below(self, count: int, reach: int = 4000) -> list[str]:
        """The first `count` lines below the cursor's that are not blank, within `reach` characters."""
        below = self.text[self.line_end : self.line_end + reach].split("\n")[1:]
        return [line.rstrip() for line in below if line.strip()][:count]
