"""The next edit: certain ones only. A document is edited as an editor would, then asked what follows."""

from __future__ import annotations

import pytest

from codeface_lsp.assist.next_edit import NextEdit, NextEdits
from codeface_lsp.context import syntax
from codeface_lsp.text.edits import TextEdit
from codeface_lsp.text.snapshot import Snapshot


class Document:
    def __init__(self, text: str, language: str = "python") -> None:
        self.snapshot = Snapshot("file:///f", None, language, 1, text)
        self.next = NextEdits(lambda snapshot: syntax.parse(snapshot.text, snapshot.language))
        self.next.opened(self.snapshot)
        self.cursor = 0

    def edit(self, start: int, end: int, text: str) -> None:
        old = self.snapshot
        new = old.text[:start] + text + old.text[end:]
        self.snapshot = Snapshot(old.uri, None, old.language, old.version + 1, new)
        self.next.changed(self.snapshot, [TextEdit(start, end, text)])
        self.cursor = start + len(text)

    def retype(self, at: str, old: str, new: str) -> None:
        """Within the first `at`, delete `old` and type `new`, key by key."""
        start = self.snapshot.text.index(at) + at.index(old)
        for left in range(len(old), 0, -1):
            self.edit(start + left - 1, start + left, "")
        for index, key in enumerate(new):
            self.edit(start + index, start + index, key)

    def propose(self) -> list[NextEdit]:
        return self.next.propose(self.snapshot, self.cursor)

    def take_all(self) -> str:
        """Accept proposals until there are none."""
        for _ in range(20):
            found = self.propose()
            if not found:
                break
            self.edit(found[0].start, found[0].end, found[0].text)
        return self.snapshot.text


FUNCTION = "def total(items):\n    result = 0\n"
FUNCTION += "    for item in items:\n        result += item\n    return result\n\nprint(total([1]))\n"


def test_a_renamed_variable_is_finished_one_by_one() -> None:
    document = Document("def f(size):\n    if size > 1:\n        return size * 2\n    return size\n")
    document.retype("def f(size)", "size", "width")
    assert len(document.propose()) == 3
    assert (
        document.take_all()
        == "def f(width):\n    if width > 1:\n        return width * 2\n    return width\n"
    )


def test_a_renamed_function_reaches_its_callers() -> None:
    document = Document(FUNCTION)
    document.retype("def total", "total", "add_up")
    [edit] = document.propose()
    assert (edit.kind, edit.text) == ("rename", "add_up")
    assert document.snapshot.text[edit.start :].startswith("total([1])")


def test_a_renamed_method_is_finished_through_self_only() -> None:
    text = "class A:\n    def load(self):\n        pass\n\n"
    text += "    def run(self, other):\n        self.load()\n        other.load()\n"
    document = Document(text)
    document.retype("def load", "load", "fetch")
    assert document.take_all().endswith("self.fetch()\n        other.load()\n")


@pytest.mark.parametrize(
    ("text", "at", "old", "new"),
    [
        ("x = 1\nx = 2\nprint(x)\n", "x = 2", "x", "y"),  # the old name still means something
        ("import os\nos = 1\nprint(os)\n", "os = 1", "os", "system"),
        ("def f(a, b):\n    return a.b + b\n", "a.b", "b", "c"),  # an attribute, defined elsewhere
        ("def f(a):\n    return a\n", "def f(a)", "a", "a, b"),  # another parameter, no rename
        ("a = 1\nprint(a)\n", "print(a)", "a", "b"),  # a use, not the definition
        ("def f(a):\n    return (lambda a: a)(1)\n", "def f(a)", "a", "b"),  # shadowed
    ],
)
def test_what_is_not_certain_is_not_proposed(text: str, at: str, old: str, new: str) -> None:
    document = Document(text)
    document.retype(at, old, new)
    assert [edit for edit in document.propose() if edit.kind == "rename"] == []


def test_an_added_parameter_is_handed_on_where_its_name_is_known() -> None:
    text = "def draw(shape):\n    pass\n\ndef scene(color):\n    draw(1)\n    draw(2)\n\ndraw(3)\n"
    document = Document(text)
    at = text.index("shape)") + 5
    for index, key in enumerate(", color"):
        document.edit(at + index, at + index, key)
    assert {edit.kind for edit in document.propose()} == {"argument"}
    assert document.take_all() == (
        "def draw(shape, color):\n    pass\n\ndef scene(color):\n    draw(1, color)\n    draw(2, color)\n\ndraw(3)\n"
    )


def test_a_parameter_with_a_default_needs_no_argument() -> None:
    text = "def draw(shape):\n    pass\n\ndef scene(color):\n    draw(1)\n"
    document = Document(text)
    at = text.index("shape)") + 5
    document.edit(at, at, ", color=None")
    assert document.propose() == []


def test_the_same_change_in_the_sibling_branch() -> None:
    text = "if a:\n    log.debug(message)\n    x()\nelse:\n    log.debug(message)\n\nlog.debug(message)\n"
    document = Document(text)
    document.retype("    log.debug(message)", "debug", "warning")
    [edit] = document.propose()
    assert edit.kind == "sibling"
    assert document.take_all() == (
        "if a:\n    log.warning(message)\n    x()\nelse:\n    log.warning(message)\n\nlog.debug(message)\n"
    )


def test_a_line_that_is_written_anew_changes_no_sibling() -> None:
    document = Document("if a:\n    \nelse:\n    value = compute(1)\n")
    document.edit(10, 10, "value = compute(2)")
    assert document.propose() == []


def test_javascript_renames_too() -> None:
    document = Document(
        "function f(size) {\n  const a = size + 1;\n  return obj.size + a;\n}\n", "javascript"
    )
    document.retype("f(size)", "size", "width")
    assert document.take_all() == "function f(width) {\n  const a = width + 1;\n  return obj.size + a;\n}\n"


def test_a_text_that_does_not_parse_gets_none() -> None:
    document = Document("def f(size):\n    return size + (\n")
    document.retype("def f(size)", "size", "width")
    assert document.propose() == []


def test_an_unknown_or_other_text_gets_none() -> None:
    document = Document("x = 1\n")
    assert document.propose() == []
    other = Snapshot("file:///other", None, "python", 1, "x = 1\n")
    assert document.next.propose(other, 0) == []
