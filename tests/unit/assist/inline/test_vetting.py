"""What of a model's text is shown, and what it becomes in the file."""

from __future__ import annotations

import pytest

from codeface_lsp.assist.inline.anchors import Written
from codeface_lsp.assist.inline.vetting import Refused, Vetting
from codeface_lsp.context import syntax
from tests.unit.assist.inline.test_stopping import at


def judged(marked: str, text: str, language: str = "python") -> Written | Refused:
    place = at(marked, language)
    return Vetting(place, syntax.parse(place.text, language)).judge(text)


def shown(marked: str, text: str, language: str = "python") -> str:
    """The file after acceptance, the new text in angle quotes and what it replaces after a tilde."""
    written = judged(marked, text, language)
    assert isinstance(written, Written), written
    replaced = f"~{written.replaced}~" if written.replaced else ""
    return f"{written.prefix}«{written.text}»{replaced}{written.tail}"


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("print(|)", "a, b)", "print(«a, b»)"),
        ("print(|)", "a, b", "print(«a, b»)"),
        ("print(f(|))", "a)", "print(f(«a»))"),
        ("print(f(|))", "a))", "print(f(«a»))"),
        ("x = {'a': [|]}", "1, 2]}", "x = {'a': [«1, 2»]}"),
        ('print("|")', 'hello")', 'print("«hello»")'),
        ("if f(|)\n", "a):", "if f(«a):»~)~\n"),
        ("x = f(|) + 1\n", "a) + 1", "x = f(«a») + 1\n"),
        ("def f():\n    return|\n", ' ""', 'def f():\n    return« ""»\n'),
        ("def f(separator=|): pass\n", '" "', 'def f(separator=«" "»): pass\n'),
        ("x = [(1, 2), (3, 4|\n]\n", "),", "x = [(1, 2), (3, 4«),»\n]\n"),
        ("x = [a for | in b]\n", "a in b]", "x = [a for «a» in b]\n"),
    ],
)
def test_it_fits_the_rest_of_the_line(marked: str, text: str, expected: str) -> None:
    assert shown(marked, text) == expected


def test_lines_that_follow_in_the_file_are_cut_also_several() -> None:
    marked = "def f():\n    |\n    b = 2\n    return b\n"
    assert shown(marked, "a = 1\n    b = 2\n    return b").startswith("def f():\n    «a = 1»\n")


@pytest.mark.parametrize(
    ("marked", "text", "reason"),
    [
        ("def f():\n    |\n", "   \n", "empty"),
        ("x = {\n    'a': 1,\n    |\n}\n", "})", "trivial"),
        ("f(1, g(\n    2|\n", "))", "trivial"),
        ("x = 1\n|\ny = compute(2)\n", "y = compute(2)", "empty"),
        ("total = compute(2)\n|\n", "total = compute(2)", "repeats"),
        ("a = 1\nb = 2\nc = 3\n|\n", "a = 1\nb = 2\nc = 3", "repeats"),
        ("x = 1\n|\n", "else: def", "breaks"),
    ],
)
def test_what_would_be_in_the_way_is_refused(marked: str, text: str, reason: str) -> None:
    result = judged(marked, text)
    assert isinstance(result, Refused), result
    assert result.reason in (reason, "present")


def test_an_open_bracket_is_closed_where_the_file_parsed() -> None:
    assert shown("x = 1\n|\n", "y = compute(x, [1, 2") == "x = 1\n«y = compute(x, [1, 2])»\n"


def test_a_bracket_that_was_opened_at_a_lines_end_is_closed_on_a_line_of_its_own() -> None:
    text = "y = compute(\n        x,\n        [1, 2],"
    assert shown("def f():\n    |\n", text) == f"def f():\n    «{text}\n    )»\n"
    assert shown("def f():|\n", f"\n    {text}") == f"def f():«\n    {text}\n    )»\n"


def test_lines_that_break_the_file_are_left_out() -> None:
    assert shown("x = 1\n|\n", "y = 2\nz = = 3") == "x = 1\n«y = 2»\n"


def test_a_file_that_does_not_parse_is_not_judged_by_its_syntax() -> None:
    assert shown("def f(:\n|\n", "y = (") == "def f(:\n«y = (»\n"


@pytest.mark.parametrize(
    ("marked", "text", "expected"),
    [
        ("def f():\n  |\n", "  return 1", "def f():\n  «  return 1»\n"),
        ("def f():\n  |\n", "  if a:\n        return 1", "def f():\n  «  if a:\n        return 1»\n"),
        (
            "class A:\n    def f(self):\n        a = 1\n  |\n",
            "  def g(): pass",
            "class A:\n    def f(self):\n        a = 1\n  «  def g(): pass»\n",
        ),
        ("def f():\n    |\n", " return 1", "def f():\n    «return 1»\n"),
        ("def f():\n    a = 1\n    |\n", "    return 1", "def f():\n    a = 1\n    «return 1»\n"),
        ("x = g(\n    |\n)\n", "    1,", "x = g(\n    «    1,»\n)\n"),
        ("if a:\n\tb = 1\n\tif c:\n\t|\n", "\td = 2", "if a:\n\tb = 1\n\tif c:\n\t«\td = 2»\n"),
    ],
)
def test_the_rest_of_an_indentation_is_shown_but_no_second_one(marked: str, text: str, expected: str) -> None:
    assert shown(marked, text) == expected


def test_indentation_follows_the_file() -> None:
    marked = "function a() {\n  if (b) {\n    c();\n  }\n}\n\nfunction f(x) {\n  |\n}\n"
    text = "if (x) {\n      c();\n  }"
    assert "«if (x) {\n    c();\n  }»" in shown(marked, text, "javascript")
    tabs = "func a() {\n\tif b {\n\t\tc()\n\t}\n}\n\nfunc f() {\n\t|\n}\n"
    assert "«if x {\n\t\tc()\n\t}»" in shown(tabs, "if x {\n\t    c()\n\t}", "go")


def test_line_ends_are_the_files_own() -> None:
    assert "«\r\n    return 1»" in shown("def f():|\r\nx = 1\r\n", "\n    return 1\n")
