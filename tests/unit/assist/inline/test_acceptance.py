"""Acceptance told from the document's changes, and from what clients say."""

from __future__ import annotations

import asyncio

import pytest

from codeface_lsp.assist.inline import acceptance
from codeface_lsp.assist.inline.types import Suggestion
from tests.scripted import ScriptedEndpoint
from tests.unit.assist.inline.support import Editor, until

TEXT = "def area(width, height):\n    |\n"
LINE = "return width * height"


async def shown() -> tuple[Editor, Suggestion]:
    ed = Editor(ScriptedEndpoint(LINE), TEXT)
    [suggestion] = await ed.ask() or []
    return ed, suggestion


async def test_taken_whole() -> None:
    ed, suggestion = await shown()
    ed.accept(suggestion)
    assert ed.stats.taken == {suggestion.id: len(LINE)}
    assert suggestion.id in ed.stats.whole


async def test_taken_word_by_word() -> None:
    ed, suggestion = await shown()
    ed.type("return")
    assert ed.stats.taken == {suggestion.id: 6}
    ed.type(" width")
    assert ed.stats.taken == {suggestion.id: 12}
    assert not ed.stats.whole and not ed.stats.refused


async def test_typed_along_is_neither_taken_nor_refused() -> None:
    ed, _ = await shown()
    for char in LINE:
        ed.type(char)
    assert ed.stats.taken == {} and ed.stats.refused == []


async def test_going_another_way_refuses() -> None:
    ed, suggestion = await shown()
    ed.type("r")
    ed.type("x")
    assert ed.stats.refused == [suggestion.id]


async def test_what_the_client_says_counts_once() -> None:
    ed, suggestion = await shown()
    ed.completer.accepted(suggestion.id, 6)
    ed.type("return")
    assert ed.stats.taken == {suggestion.id: 6}
    ed.completer.accepted(suggestion.id)
    assert suggestion.id in ed.stats.whole


async def test_an_unknown_id_is_harmless() -> None:
    ed, _ = await shown()
    ed.completer.accepted("who knows", 3)
    ed.completer.accepted("who knows")


async def test_characters_kept_are_measured_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance, "KEPT_AFTER_S", (0.05, 0.15))
    ed, suggestion = await shown()
    ed.accept(suggestion)
    ed.edit(0, 0, "# a line above\n")
    at = ed.text.index("width * height")
    ed.edit(at, at + 5, "w")
    await until(lambda: (suggestion.id, 0.05) in ed.stats.kept_chars)
    assert ed.stats.kept_chars[suggestion.id, 0.05] == len(LINE) - 4  # type: ignore[index]
    ed.edit(0, len(ed.text), "")
    await until(lambda: (suggestion.id, 0.15) in ed.stats.kept_chars)
    assert ed.stats.kept_chars[suggestion.id, 0.15] == 0  # type: ignore[index]


async def test_closing_cancels_the_measurements() -> None:
    ed, suggestion = await shown()
    ed.accept(suggestion)
    before = len(asyncio.all_tasks())
    ed.completer.closed(ed.snapshot.uri)
    assert len(asyncio.all_tasks()) <= before
    assert ed.stats.refused == []
