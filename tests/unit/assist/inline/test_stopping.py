"""When generation ends: the line, the block, the file's next lines, a repetition; fed piece by piece."""

from __future__ import annotations

import pytest

from codeface_lsp.assist.inline.place import Place
from codeface_lsp.assist.inline.stopping import StopRules
from codeface_lsp.context import syntax
from codeface_lsp.text.snapshot import Snapshot


def at(marked: str, language: str = "python") -> Place:
    offset = marked.index("|")
    snapshot = Snapshot("file:///f", None, language, 1, marked.replace("|", "", 1))
    return Place.at(snapshot, offset)


def write(
    marked: str, output: str, *, multiline: bool = True, language: str = "python"
) -> tuple[str, str | None]:
    """What is kept of `output`, given in pieces of three characters, and why it ended."""
    place = at(marked, language)
    tree = syntax.parse(place.text, language)

    def whole(text: str) -> bool | None:
        if tree is None:
            return None
        after = tree.replaced(place.offset, place.offset, text)
        without = tree.replaced(place.offset - len(place.before), place.line_end, "")
        assert after is not None and without is not None
        return after.error_count() <= without.error_count()

    rules = StopRules(place, multiline=multiline, whole=whole)
    for end in range(3, len(output) + 3, 3):
        if stop := rules.check(output[:end]):
            return stop.text, stop.reason
    return output, None


def test_a_single_line_ends_with_its_line() -> None:
    assert write("x = |", "compute(1)\ny = 2\n", multiline=False) == ("compute(1)", "line")


def test_a_line_that_is_complete_gets_nothing() -> None:
    assert write("x = 1|\n", "\ny = 2\n", multiline=False) == ("", "line")


@pytest.mark.parametrize(
    ("marked", "output", "kept"),
    [
        ("def f(a):|\n", "\n    b = a\n    return b\n\ndef g():\n    pass\n", "\n    b = a\n    return b"),
        (
            "class A:\n    def f(self):\n        |\n",
            "x = 1\n        return x\n\n    def g(self):",
            "x = 1\n        return x",
        ),
        ("for a in b:\n    |\n", "print(a)\nprint(b)\n", "print(a)"),
        ("def f():\n    |\n", "return g(\n        1,\n    )\n\nx = 1", "return g(\n        1,\n    )"),
    ],
)
def test_an_indented_block_ends_at_the_dedent(marked: str, output: str, kept: str) -> None:
    assert write(marked, output) == (kept, "block")


def test_at_a_blank_line_between_statements_a_paragraph_is_enough() -> None:
    kept, reason = write("def f():\n    a = 1\n\n    |\n", "b = 2\n    c = 3\n\n    d = 4\n")
    assert (kept, reason) == ("b = 2\n    c = 3", "block")


def test_the_next_paragraph_ends_it_with_its_first_word() -> None:
    rules = StopRules(at("def f():\n    a = 1\n\n    |\n"), multiline=True)
    assert rules.check("b = 2\n\n    deep") is None
    stop = rules.check("b = 2\n\n    deep =")
    assert stop is not None
    assert (stop.text, stop.reason) == ("b = 2", "block")


def test_branches_belong_to_their_statement() -> None:
    output = "if a:\n        b()\n\n    else:\n        c()\n\n    d()\n"
    kept, _ = write("def f():\n    a = 1\n\n    |\n", output)
    assert kept == "if a:\n        b()\n\n    else:\n        c()"


@pytest.mark.parametrize(
    ("marked", "language", "output", "kept"),
    [
        ("function f(a) {|\n", "javascript", "\n  return a;\n}\n\nfunction g() {", "\n  return a;\n}"),
        ("function f(a) {|\n}\n", "javascript", "\n  return a;\n}\n\nfunction g() {", "\n  return a;"),
        ("func f() {\n\t|\n}\n", "go", "x := 1\n\treturn x\n}\n\nfunc", "x := 1\n\treturn x"),
        ("def f(a)|\n", "ruby", "\n  a + 1\nend\n\ndef g\n", "\n  a + 1\nend"),
    ],
)
def test_a_closing_line_is_kept_only_if_the_file_lacks_it(
    marked: str, language: str, output: str, kept: str
) -> None:
    assert write(marked, output, language=language)[0] == kept


def test_the_next_lines_of_the_file_end_it() -> None:
    marked = "def f():\n    a = 1\n    |\n    return a + 1\n"
    assert write(marked, "a += 2\n    return a + 1\n\n") == ("a += 2", "suffix")


@pytest.mark.parametrize(
    "output",
    ["spam, " * 12, "x = 1\n    y = 2\n" + "    foo(y)\n" * 5],
)
def test_a_repetition_ends_it_and_is_kept_once(output: str) -> None:
    kept, reason = write("def f():\n    |", output)
    assert reason == "repetition"
    last = output.strip().split("\n")[-1].strip()[:6]
    assert kept.count(last) == 1


def test_an_argument_list_without_end_is_given_up() -> None:
    marked = "def f(table):\n    |\n"
    endless = "a = 1\n    table.add(" + "".join(f"\n        name{n}=name{n}," for n in range(30))
    kept, reason = write(marked, endless)
    assert (kept, reason) == ("a = 1", "open")
    kept, reason = write(marked, endless.removeprefix("a = 1\n    "))
    assert reason == "open", "where nothing stands before the list, its lines are kept"
    assert kept == "table.add(" + "".join(f"\n        name{n}=name{n}," for n in range(8))
    closed = "table.add(" + "".join(f"\n        name{n}=name{n}," for n in range(6)) + "\n    )\n    return"
    assert write(marked, closed)[0] == closed
    docstring = '"""About it.\n' + "".join(f"\n    line {n} of it" for n in range(12)) + '\n    """\n\n'
    assert write(marked, docstring)[1] != "open"


def test_whole_so_far_keeps_lines_whose_brackets_are_closed() -> None:
    rules = StopRules(at("def f():\n    |\n"), multiline=True)
    assert rules.whole_so_far("x = 1\n    y = g(\n        2,\n    z") == "x = 1"
    assert rules.whole_so_far("value = compute(alp") == "value = compute"
    assert rules.whole_so_far("x = ") == "x"
