"""Documents stay equal to the editor's, whatever characters and edits come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types

from codeface_lsp.errors import DocumentError
from codeface_lsp.lsp.documents import MAX_CHARACTERS, Document, Documents
from codeface_lsp.text.edits import apply
from codeface_lsp.text.lines import Encoding, LineIndex

URI = "file:///tmp/project/main.py"
TEXTS = st.text(alphabet=st.sampled_from("ab\t\n\r\f\x0b\x85\u2028é漢😀"), max_size=40)
ENCODINGS: list[Encoding] = ["utf-8", "utf-16", "utf-32"]


def documents(text: str, encoding: Encoding = "utf-16") -> Documents:
    workspace = Documents(None, position_encoding=types.PositionEncodingKind(encoding))
    workspace.put_text_document(types.TextDocumentItem(URI, "python", 1, text))
    return workspace


def document(text: str, encoding: Encoding = "utf-16") -> Document:
    found = documents(text, encoding).open_document(URI)
    assert found is not None
    return found


def change(
    text: str, start: int, end: int, new: str, encoding: Encoding
) -> types.TextDocumentContentChangePartial:
    index = LineIndex(text)
    span = types.Range(
        types.Position(*index.position(start, encoding)), types.Position(*index.position(end, encoding))
    )
    return types.TextDocumentContentChangePartial(text=new, range=span)


@given(st.data(), TEXTS, st.sampled_from(ENCODINGS))
def test_incremental_changes_equal_the_reference(data: st.DataObject, text: str, encoding: Encoding) -> None:
    target = document(text, encoding)
    for version in range(2, 6):
        places = [i for i in range(len(text) + 1) if text[i - 1 : i + 1] != "\r\n"]
        start, end = sorted((data.draw(st.sampled_from(places)), data.draw(st.sampled_from(places))))
        new = data.draw(TEXTS)
        edit = target.apply(change(text, start, end, new, encoding), version)
        expected = text[:start] + new + text[end:]
        assert target.source == expected
        assert apply(text, [edit]) == expected
        assert "".join(target.lines) == expected
        text = expected
    assert target.snapshot().version == 5


@pytest.mark.parametrize("separator", ["\f", "\u2028", "\x85", "\x0b", "\x1c"])
def test_characters_that_python_splits_at_do_not_shift_lines(separator: str) -> None:
    target = document(f"a{separator}b\nsecond\n")
    target.apply(
        types.TextDocumentContentChangePartial(
            text="X", range=types.Range(types.Position(1, 0), types.Position(1, 1))
        ),
        2,
    )
    assert target.source == f"a{separator}b\nXecond\n"


def test_an_edit_after_an_astral_character_lands_where_the_editor_meant() -> None:
    target = document("x = '😀' + y")
    target.apply(
        types.TextDocumentContentChangePartial(
            text="z", range=types.Range(types.Position(0, 11), types.Position(0, 12))
        ),
        2,
    )
    assert target.source == "x = '😀' + z"


def test_a_range_past_the_end_is_clamped() -> None:
    target = document("a\n")
    target.apply(
        types.TextDocumentContentChangePartial(
            text="b", range=types.Range(types.Position(7, 3), types.Position(9, 9))
        ),
        2,
    )
    assert target.source == "a\nb"


def test_a_change_without_a_range_replaces_everything() -> None:
    target = document("old text")
    edit = target.apply(types.TextDocumentContentChangeWholeDocument(text="new"), 2)
    assert (edit.start, edit.end, target.source) == (0, 8, "new")


def test_a_snapshot_does_not_follow_the_document() -> None:
    target = document("a")
    before = target.snapshot()
    target.apply(types.TextDocumentContentChangeWholeDocument(text="b"), 2)
    assert (before.text, before.version) == ("a", 1)
    assert target.snapshot() is target.snapshot()


def test_a_document_that_was_never_opened_is_named() -> None:
    with pytest.raises(DocumentError, match=r"other\.py is not open"):
        documents("").snapshot("file:///tmp/project/other.py")


@pytest.mark.parametrize(
    ("text", "kind"), [("\x7fELF\0\0\0", "binary"), ("x" * (MAX_CHARACTERS + 1), "too_large")]
)
def test_what_no_model_can_help_with_is_refused_in_one_sentence(text: str, kind: str) -> None:
    with pytest.raises(DocumentError) as refused:
        documents(text).snapshot(URI)
    assert refused.value.kind == kind
    assert refused.value.message.startswith("main.py")
