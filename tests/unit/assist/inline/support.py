"""An editor in memory: a document, a cursor (`|` in the text), and a completer with real context behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from codeface_lsp.assist.inline import InlineCompleter, SelectedItem, Suggestion
from codeface_lsp.settings import Settings, load
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.workspace import Workspace
from tests.scripted import ScriptedEndpoint

URI = "file:///project/main.py"


class Observed:
    """Keeps what the completer tells its statistics."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.taken: dict[str, int] = {}
        self.whole: set[str] = set()
        self.refused: list[str] = []
        self.kept_chars: dict[tuple[str, int], int] = {}
        self.seen: list[Suggestion] = []

    def request(self, language: str, model: str, outcome: str, latency_ms: float) -> None:
        self.outcomes.append(outcome)

    def shown(self, suggestion: Suggestion, language: str, *, invoked: bool, latency_ms: float) -> None:
        self.seen.append(suggestion)

    def accepted(self, suggestion_id: str, chars: int, *, whole: bool) -> None:
        self.taken[suggestion_id] = max(chars, self.taken.get(suggestion_id, 0))
        if whole:
            self.whole.add(suggestion_id)

    def rejected(self, suggestion_id: str) -> None:
        self.refused.append(suggestion_id)

    def kept(self, suggestion_id: str, after_s: int, chars: int) -> None:
        self.kept_chars[suggestion_id, after_s] = chars


def settings(**completion: Any) -> Settings:
    completion.setdefault("prefetch", False)
    return load({"completion": completion}, environ={}, file=Path("no such file"))


class Editor:
    """One open document. `marked` holds the cursor as `|`."""

    def __init__(
        self,
        endpoint: ScriptedEndpoint,
        marked: str,
        *,
        language: str = "python",
        uri: str = URI,
        **completion: Any,
    ) -> None:
        self.endpoint = endpoint
        self.stats = Observed()
        chosen = settings(**completion)
        self.workspace = Workspace([], chosen)
        self.completer = InlineCompleter(endpoint, self.workspace, chosen, self.stats)
        self.cursor = marked.index("|")
        self.snapshot = Snapshot(uri, None, language, 1, marked.replace("|", "", 1))
        self.workspace.opened(self.snapshot)
        self.completer.opened(self.snapshot)

    @property
    def text(self) -> str:
        return self.snapshot.text

    def edit(self, start: int, end: int, text: str, cursor: int | None = None) -> None:
        """Replace a range, as a didChange would."""
        new = self.text[:start] + text + self.text[end:]
        old = self.snapshot
        self.snapshot = Snapshot(old.uri, old.path, old.language, old.version + 1, new)
        self.cursor = start + len(text) if cursor is None else cursor
        edits = [TextEdit(start, end, text)]
        self.workspace.changed(self.snapshot, edits)
        self.completer.changed(self.snapshot, edits)

    def type(self, text: str, *, auto: str = "") -> None:
        """Insert at the cursor; `auto` is what the editor adds behind it by itself."""
        at = self.cursor
        self.edit(at, at, text + auto, cursor=at + len(text))

    async def ask(
        self, *, invoked: bool = False, selected: SelectedItem | None = None
    ) -> list[Suggestion] | None:
        async with asyncio.timeout(30):
            return await self.completer.complete(
                self.snapshot, self.cursor, invoked=invoked, selected=selected
            )

    def request(self, *, invoked: bool = False) -> asyncio.Task[list[Suggestion] | None]:
        return asyncio.create_task(self.ask(invoked=invoked))

    def accept(self, suggestion: Suggestion) -> None:
        self.edit(suggestion.start, suggestion.end, suggestion.text)

    def accepted(self, suggestion: Suggestion) -> str:
        """The text as it would be."""
        return self.text[: suggestion.start] + suggestion.text + self.text[suggestion.end :]


async def until(condition: Any) -> None:
    """Wait for a condition, at most 20 s."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - polls what has no event
            await asyncio.sleep(0.002)
