"""A key press sends one edit of the document, never the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.endpoints.documents import SentDocuments, difference
from codeface_lsp.endpoints.types import DocumentText
from codeface_lsp.serving.documents import Documents
from codeface_lsp.serving.schema import Document

TEXTS = st.text(alphabet="ab\n🙂é", max_size=40)


@given(TEXTS, TEXTS)
def test_the_difference_makes_the_new_text_from_the_old(old: str, new: str) -> None:
    start, end, text = difference(old, new)
    assert old[:start] + text + old[end:] == new


def test_one_key_is_a_difference_of_one_character() -> None:
    text = "line\n" * 10_000
    assert difference(text, text[:25_000] + "x" + text[25_000:]) == (25_000, 25_000, "x")


@given(st.lists(TEXTS, min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_client_and_engine_agree_on_every_version_whatever_gets_lost(
    texts: list[str], lost: set[int]
) -> None:
    sent, known = SentDocuments(), Documents()
    for version, text in enumerate(texts):
        field = sent.field(DocumentText("file:///a.py", version, text))
        if version in lost:
            continue
        resolved = known.update("window", Document.model_validate(field))
        assert resolved in (text, None)
        if resolved is None:
            sent.forget("file:///a.py")
            field = sent.field(DocumentText("file:///a.py", version, text))
            assert known.update("window", Document.model_validate(field)) == text


def test_an_unchanged_version_sends_no_text() -> None:
    sent = SentDocuments()
    document = DocumentText("file:///a.py", 3, "x = 1\n")
    assert sent.field(document)["text"] == "x = 1\n"
    assert sent.field(document) == {"id": "file:///a.py", "version": 3}


def test_a_new_engine_gets_the_whole_text_again() -> None:
    sent = SentDocuments()
    sent.field(DocumentText("file:///a.py", 1, "x"))
    sent.clear()
    assert sent.field(DocumentText("file:///a.py", 2, "xy")) == {
        "id": "file:///a.py",
        "version": 2,
        "text": "xy",
    }
