"""Stop strings on a stream of text, any number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


class StopStrings:
    """Finds the first of many strings in a stream, and holds back text that may be the beginning of one.

    An Aho-Corasick automaton (Aho and Corasick 1975): its state is the longest end of the text that begins some stop
    string, which is exactly what must be held back.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fail = [0]
        self._depth = [0]
        self._found: list[str | None] = [None]
        for stop in stops:
            if stop:
                self._insert(stop)
        self._link()
        self._state = 0
        self._held = ""

    def _insert(self, stop: str) -> None:
        node = 0
        for character in stop:
            following = self._next[node].get(character)
            if following is None:
                following = len(self._next)
                self._next[node][character] = following
                self._next.append({})
                self._fail.append(0)
                self._depth.append(self._depth[node] + 1)
                self._found.append(None)
            node = following
        self._found[node] = stop

    def _link(self) -> None:
        queue = deque(self._next[0].values())
        while queue:
            node = queue.popleft()
            if self._found[node] is None:
                self._found[node] = self._found[self._fail[node]]
            for character, following in self._next[node].items():
                self._fail[following] = self._step(self._fail[node], character)
                queue.append(following)

    def _step(self, state: int, character: str) -> int:
        while state and character not in self._next[state]:
            state = self._fail[state]
        return self._next[state].get(character, 0)

    def add(self, text: str) -> tuple[str, str | None]:
        """Text that is certainly none of a stop string, and the stop string that ends here, if one does."""
        if len(self._next) == 1:
            return text, None
        for index, character in enumerate(text):
            self._state = self._step(self._state, character)
            found = self._found[self._state]
            if found is not None:
                whole = self._held + text[: index + 1]
                self._held = ""
                return whole[: len(whole) - len(found)], found
        whole = self._held + text
        kept = self._depth[self._state]
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept], None

    def finish(self) -> str:
        """What was held back and turned out to be ordinary text."""
        held, self._held, self._state = self._held, "", 0
        return held
