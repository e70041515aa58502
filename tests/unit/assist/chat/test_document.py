"""An answer streams into a document that its reader types in, and neither loses a character."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeface_lsp.assist.chat import Turn, document
from codeface_lsp.assist.chat.document import DocumentStream
from codeface_lsp.text import edits
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot


class Editor:
    """An editor with one document: it refuses edits for another version, and sends didChange for all others."""

    def __init__(self, text: str) -> None:
        self.snapshot = Snapshot("file:///chat.md", "/chat.md", "markdown", 1, text)
        self.changes: list[tuple[Snapshot, TextEdit]] = []

    def edit(self, edit: TextEdit) -> None:
        text = edits.apply(self.snapshot.text, [edit])
        version = self.snapshot.version + 1
        self.snapshot = Snapshot(self.snapshot.uri, self.snapshot.path, "markdown", version, text)
        self.changes.append((self.snapshot, edit))

    def apply(self, version: int, edit: TextEdit) -> bool:
        if version != self.snapshot.version:
            return False
        self.edit(edit)
        return True

    def deliver(self, stream: DocumentStream) -> None:
        """What the server hears, late."""
        for snapshot, edit in self.changes:
            stream.changed(snapshot, [edit])
        self.changes.clear()


ANSWER = "⟦" + "".join(f"<{n}>" for n in range(40)) + "⟧"


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), typing=st.sampled_from([0.0, 0.2, 0.6, 0.95]))
def test_typing_during_an_answer_loses_nothing_and_does_not_stop_it(seed: int, typing: float) -> None:
    """Random insertions anywhere, random pauses between what happens in the editor and what the server hears."""
    rng = random.Random(seed)
    editor = Editor("# CodeFace chat\n\n## You\n\nwhy?\n")
    stream = DocumentStream(editor.snapshot, len(editor.snapshot.text) - 1)
    pieces = [ANSWER[i : i + 3] for i in range(0, len(ANSWER), 3)]
    typed = 0
    for _ in range(4000):
        if pieces and rng.random() < 0.5:
            stream.add(pieces.pop(0))
        elif not pieces and not stream.is_finished:
            stream.finish()
        if rng.random() < typing and typed < 200:
            at = rng.randint(0, len(editor.snapshot.text))
            editor.edit(TextEdit(at, at, chr(0x4E00 + typed)))
            typed += 1
        if rng.random() < 0.5:
            editor.deliver(stream)
        edit = stream.next_edit()
        if edit is not None:
            applied = editor.apply(stream.snapshot.version, edit)
            if rng.random() < 0.5:
                editor.deliver(stream)
            if applied:
                stream.applied()
                editor.deliver(stream)
            else:
                stream.refused()
                editor.deliver(stream)
        if stream.is_finished and not stream.rest:
            break
    assert stream.rest == ""
    text = editor.snapshot.text
    assert [ord(c) - 0x4E00 for c in sorted(c for c in text if c >= "\u4e00" and c <= "\u9fff")] == list(
        range(typed)
    )
    assert "".join(c for c in text if c in ANSWER).count("⟦") == 1
    without = "".join(c for c in text if not "\u4e00" <= c <= "\u9fff")
    assert sorted(without) == sorted("# CodeFace chat\n\n## You\n\nwhy?\n" + ANSWER)
    if typing == 0:
        assert text == "# CodeFace chat\n\n## You\n\nwhy?" + ANSWER + "\n"


def test_three_refusals_keep_the_rest_for_the_documents_end() -> None:
    editor = Editor("## You\n\nwhy?\n\nmore below\n")
    stream = DocumentStream(editor.snapshot, 12)
    for _ in range(document.MAX_REFUSALS):
        stream.add("x")
        assert stream.next_edit() is not None
        stream.refused()
    stream.add("y")
    assert stream.gave_up and stream.next_edit() is None
    stream.finish()
    edit = stream.next_edit()
    assert edit == TextEdit(len(editor.snapshot.text), len(editor.snapshot.text), "xxxy")


def test_only_one_edit_is_in_flight_until_its_change_was_heard() -> None:
    editor = Editor("## You\n\nwhy?")
    stream = DocumentStream(editor.snapshot, 12)
    stream.add("a")
    first = stream.next_edit()
    assert first is not None
    stream.add("b")
    assert stream.next_edit() is None
    assert editor.apply(stream.snapshot.version, first)
    stream.applied()
    assert stream.next_edit() is None
    editor.deliver(stream)
    assert stream.next_edit() == TextEdit(13, 13, "b")


def test_an_answer_stays_in_order_when_the_editor_tells_of_its_first_piece_late() -> None:
    editor = Editor("## You\n\nwhy?\n")
    stream = DocumentStream(editor.snapshot, 12)
    stream.add("\n\n## CodeFace\n\n")
    first = stream.next_edit()
    assert first is not None and editor.apply(stream.snapshot.version, first)
    stream.applied()
    stream.settle()  # its didChange took longer than anyone waits
    stream.add("Because.\n\n## You\n")
    stream.finish()
    second = stream.next_edit()
    assert second is not None and not editor.apply(stream.snapshot.version, second)
    editor.deliver(stream)
    stream.refused()
    third = stream.next_edit()
    assert third is not None and editor.apply(stream.snapshot.version, third)
    assert editor.snapshot.text == "## You\n\nwhy?\n\n## CodeFace\n\nBecause.\n\n## You\n\n"


def test_an_insertion_is_known_in_a_whole_document_however_the_difference_can_be_read() -> None:
    before = "## You\n\nwhy?\n\nmore below\n"
    stream = DocumentStream(Snapshot("u", None, "markdown", 1, before), 12)
    stream.add("\n\n## CodeFace\n\nBecause.")
    edit = stream.next_edit()
    assert edit is not None
    after = edits.apply(before, [edit])
    stream.changed(Snapshot("u", None, "markdown", 2, after), [TextEdit(0, len(before), after)])
    stream.applied()
    assert not stream.in_flight
    stream.add(" Indeed.")
    following = stream.next_edit()
    assert following is not None
    assert edits.apply(after, [following]).startswith("## You\n\nwhy?\n\n## CodeFace\n\nBecause. Indeed.\n")


def test_a_client_that_sends_whole_documents_is_followed_too() -> None:
    stream = DocumentStream(Snapshot("u", None, "markdown", 1, "## You\n\nwhy?\n"), 12)
    after = "Title\n## You\n\nwhy?\n"
    stream.changed(Snapshot("u", None, "markdown", 2, after), [TextEdit(0, 13, after)])
    assert stream.position == 18


@pytest.mark.parametrize("fenced", [True, False])
def test_sections_are_told_by_their_headings(fenced: bool) -> None:
    inside = "```md\n## You\n```" if fenced else "text"
    text = f"# CodeFace chat\n\n## You\n\nhello\n\n## CodeFace\n\n{inside}\n\n## You\n\nand?\n"
    found = document.sections(text)
    assert [(s.role, s.text) for s in found] == [("user", "hello"), ("assistant", inside), ("user", "and?")]
    assert document.turns(found) == [Turn("user", "hello"), Turn("assistant", inside)]


def test_a_document_shows_a_conversation_and_ends_with_the_users_message() -> None:
    turns = [Turn("user", "hello"), Turn("assistant", "```py\nx = 1\n```")]
    found = document.sections(document.render(turns, "/explain"))
    assert document.turns(found) == turns and found[-1].text == "/explain"
    assert document.sections(document.render([], "/explain"))[-1].text == "/explain"


@pytest.mark.parametrize("text", ["", "# CodeFace chat\n", "no heading left"])
def test_a_document_without_a_heading_has_no_turns(text: str) -> None:
    assert document.sections(text) == [] and document.turns(document.sections(text)) == []


def test_what_stands_before_a_clear_is_forgotten() -> None:
    turns = [Turn("user", "old"), Turn("assistant", "a"), Turn("user", "/clear"), Turn("assistant", "gone")]
    assert document.turns(document.sections(document.render(turns, "new"))) == []
    later = [Turn("user", "two"), Turn("assistant", "b")]
    assert document.turns(document.sections(document.render([*turns, *later], "new"))) == later
