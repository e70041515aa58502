"""The definition of the completion popup's selected item, for a prompt that goes on behind it."""

from __future__ import annotations

import re
from dataclasses import replace

from codeface_lsp.context.builder import Sight
from codeface_lsp.context.parts import ExtraContext, Source
from codeface_lsp.workspace.facts import Facts
from codeface_lsp.workspace.finder import Finder
from codeface_lsp.workspace.pieces import definition_chunks
from codeface_lsp.workspace.sources import Sources
from codeface_lsp.workspace.store import Symbol
from codeface_lsp.workspace.wanted import Wanted

_NAME = re.compile(r"\W*((?:\w+(?:\.|::))*)(\w+)")


def name_of(item: str) -> str:
    """The name that an item such as `area`, `shapes.area` or `area(width)` stands for; empty if there is none."""
    found = _NAME.match(item)
    return found[2] if found else ""


def selected_chunk(
    facts: Facts, sources: Sources, sight: Sight, item: str, budget: int
) -> ExtraContext | None:
    """A chunk of at most `budget` tokens, None if nothing is known; the item's text ends at the sight's cursor."""
    want = _wanted(facts, sight, name_of(item))
    chunks = [] if want is None else definition_chunks([want], sources, budget, sight.counter)
    return replace(chunks[0], source=Source.SELECTED_ITEM) if chunks else None


def _wanted(facts: Facts, sight: Sight, name: str) -> Wanted | None:
    """What the name means on the cursor's line: another file's definition, else one of this file out of sight."""
    text, offset = sight.snapshot.text, sight.offset
    names = {name, *(item.name for item in facts.usage.imports if item.local == name)}
    line = text.rfind("\n", 0, offset) + 1
    for want in Finder(facts, text, line, offset, offset).find():
        if want.symbol.name in names:
            return replace(want, reason="the selected item", in_sight=True)
    own = [each for each in facts.reader.named([name]) if each.path == facts.path]
    hidden = [each for each in own if not _in_sight(each, sight)]
    return Wanted(hidden[0], 0.0, "the selected item", True) if len(own) == len(hidden) == 1 else None


def _in_sight(symbol: Symbol, sight: Sight) -> bool:
    text = sight.snapshot.text
    first = text.count("\n", 0, sight.top)
    return first <= symbol.start <= first + text.count("\n", sight.top, sight.bottom)
