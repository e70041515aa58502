"""Whether what is typed still follows what was generated.

Editors insert closing brackets and quotes by themselves and let the user type over them, so a few of those to the
right of the cursor may come and go without anything having changed.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOSERS = frozenset(")]}\"'`")
_MOST_CLOSERS = 4
_MOST_TYPED = 20_000


@dataclass(frozen=True, slots=True)
class Anchor:
    """The place that something is being written for: between `prefix` and `suffix`, the whole rest of the text."""

    prefix: str
    suffix: str

    def typed(self, text: str, offset: int) -> str | None:
        """What was typed here since, if the cursor is at `offset` now; None if something else changed."""
        start = len(self.prefix)
        if not start <= offset <= min(start + _MOST_TYPED, len(text)):
            return None
        added = len(text) - offset - len(self.suffix)
        if added >= 0:
            auto, kept = text[offset : offset + added], self.suffix
        else:
            auto, kept = self.suffix[:-added], self.suffix[-added:]
        if len(auto) > _MOST_CLOSERS or not CLOSERS.issuperset(auto):
            return None
        if not text.endswith(kept) or not text.startswith(self.prefix):
            return None
        return text[start:offset]

    def agrees(self, text: str, output: str) -> bool:
        """Whether `text` may be what somebody got who typed along `output`, wherever the cursor is now."""
        end = len(text) - len(self.suffix)
        for closers in range(_MOST_CLOSERS, -_MOST_CLOSERS - 1, -1):
            typed = self.typed(text, end - closers)
            if typed is not None and follows(typed, output):
                return True
        return False


def follows(typed: str, output: str) -> bool:
    """Whether what was typed is the beginning of the output, or goes on where the output has got to."""
    return output.startswith(typed) or typed.startswith(output)


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a suggestion: accepting it replaces `[cursor, end)` with `text`."""

    text: str
    end: int


@dataclass(frozen=True, slots=True)
class Written:
    """A suggestion that was vetted: accepted, the text is `prefix + text + tail`; `replaced` stood in its place."""

    prefix: str
    text: str
    replaced: str
    tail: str

    @property
    def result(self) -> str:
        """The whole text after acceptance."""
        return self.prefix + self.text + self.tail

    @property
    def size(self) -> int:
        """Characters held."""
        return len(self.prefix) + len(self.text) + len(self.tail)

    def rest(self, text: str, offset: int) -> Rest | None:
        """What is left to show at `offset`; None if the text went another way.

        An empty `text` (nothing was worth showing here) is left only where it was found.
        """
        typed_chars = offset - len(self.prefix)
        if not 0 <= typed_chars <= len(self.text):
            return None
        covered = len(text) - offset - len(self.tail)
        if covered < 0 or not self._may_cover(text[offset : offset + covered]):
            return None
        if not self.text.startswith(text[len(self.prefix) : offset]):
            return None
        if not text.startswith(self.prefix) or not text.endswith(self.tail):
            return None
        left = self.text[typed_chars:]
        return _over(left, text[offset : offset + covered], offset) if left or not self.text else None

    def _may_cover(self, closers: str) -> bool:
        if closers == self.replaced:
            return True
        return len(closers) <= _MOST_CLOSERS and CLOSERS.issuperset(closers)

    def reached(self, text: str) -> int | None:
        """How many of its characters stand in `text`, wherever the cursor is; None if it went another way."""
        if len(text) == self.size and text == self.result:
            return len(self.text)
        end = len(text) - len(self.tail)
        covers: list[int] = [len(self.replaced), *range(_MOST_CLOSERS + 1)]
        for covered in covers:
            if self.text and self.rest(text, end - covered) is not None:
                return end - covered - len(self.prefix)
        return None


def _over(left: str, closers: str, offset: int) -> Rest | None:
    """Prefer an insertion at the cursor; else replace the closers, which the new text must contain in order."""
    if left.endswith(closers):
        kept = left[: len(left) - len(closers)]
        return Rest(kept, offset) if kept or not left else None
    signs = iter(left)
    if not all(sign in signs for sign in closers):
        return None
    return Rest(left, offset + len(closers))
