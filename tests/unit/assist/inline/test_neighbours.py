"""Neighbours are read beside the keys: sent with a later request, and again only when they changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codeface_lsp.assist.inline.neighbours import FRESH_S, Neighbourhood
from codeface_lsp.text.snapshot import Snapshot
from codeface_lsp.workspace.neighbours import Neighbour
from codeface_lsp.workspace.workspace import Workspace
from tests.unit.assist.inline.support import settings, until


class Folder(Workspace):
    """A workspace with one neighbour, whose text the test sets."""

    def __init__(self) -> None:
        super().__init__([], settings())
        self.text = "one = 1\n"
        self.asked = 0

    def neighbours(self, snapshot: Snapshot) -> Sequence[Neighbour]:  # type: ignore[override]
        self.asked += 1
        return [Neighbour("other.py", Path("other.py"), self.text)]


def document(name: str) -> Snapshot:
    return Snapshot(f"file:///{name}.py", f"/{name}.py", "python", 1, "")


async def test_the_first_request_waits_for_nothing_and_a_later_one_has_them() -> None:
    folder = Folder()
    known = Neighbourhood(folder)
    assert known.of(document("a")) is None
    await until(lambda: known.of(document("a")) is not None)
    first = known.of(document("a"))
    assert first is not None and first.texts == {"other.py": "one = 1\n"}
    for _ in range(100):
        assert known.of(document("a")) is first
    assert folder.asked == 1, "keys in the same document ask nothing"
    await known.aclose()


async def test_coming_back_reads_again_and_unchanged_texts_stay_the_same_object() -> None:
    folder = Folder()
    known = Neighbourhood(folder)
    await until(lambda: known.of(document("a")) is not None)
    first = known.of(document("a"))
    await until(lambda: known.of(document("b")) is not None)
    asked = folder.asked
    assert known.of(document("a")) is first
    await until(lambda: folder.asked > asked)
    await until(lambda: known._reading is not None and known._reading.done())
    assert known.of(document("a")) is first
    folder.text = "two = 2\n"
    known.happened(document("a").uri)
    assert known.of(document("a")) is first, "what is typed here changes nothing there"
    known.happened(document("b").uri)
    await until(lambda: known.of(document("a")) is not first)
    await known.aclose()


async def test_one_who_stays_in_a_document_gets_new_ones_after_a_while() -> None:
    folder, now = Folder(), 100.0
    known = Neighbourhood(folder, lambda: now)
    await until(lambda: known.of(document("a")) is not None)
    first = known.of(document("a"))
    folder.text = "two = 2\n"
    now += FRESH_S + 1
    await until(lambda: known.of(document("a")) is not first)
    await known.aclose()
