from __future__ import annotations

import pytest

from codeface_lsp.serving import documents
from codeface_lsp.serving.documents import Documents
from codeface_lsp.serving.schema import Document


def known(held: Documents, name: str) -> bool:
    return held.update("window", Document(id=name, version=1)) is not None


def test_the_documents_that_were_not_used_for_longest_make_room() -> None:
    held = Documents()
    for number in range(64):
        held.update("window", Document(id=f"{number}", version=1, text="short"))
    assert known(held, "0"), "64 short ones are held; and this one is used"
    held.update("window", Document(id="new", version=1, text="short"))
    assert not known(held, "1") and known(held, "0") and known(held, "new")


def test_few_long_documents_are_held_and_what_is_longer_than_all_room_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(documents, "_MAX_CHARS", 6_400)
    held = Documents()
    for name in ("a", "b", "c"):
        held.update("window", Document(id=name, version=1, text=name * 3_000))
    assert not known(held, "a") and known(held, "b") and known(held, "c")
    assert held.update("window", Document(id="d", version=1, text="d" * 7_000)) == "d" * 7_000
    assert not known(held, "d") and known(held, "b") and known(held, "c")
