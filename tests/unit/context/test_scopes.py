from __future__ import annotations

import pytest

from codeface_lsp.context import scopes, sites, syntax
from codeface_lsp.context.syntax import SyntaxTree


def place(marked: str, language: str) -> tuple[SyntaxTree, str, int]:
    offset = marked.index("‸")
    text = marked.replace("‸", "")
    tree = syntax.parse(text, language)
    assert tree is not None
    return tree, text, offset


NESTED = {
    "python": (
        "class A(B):\n    @cached\n    def m(self, x):\n        return ‸x\n",
        ("A", "m"),
        "@cached\n    def m(self, x):",
    ),
    "javascript": ("class A { m(x) { return ‸x; } }", ("A", "m"), "m(x)"),
    "typescript": (
        "export class A { m(x: number): number { return ‸x; } }",
        ("A", "m"),
        "m(x: number): number",
    ),
    "typescriptreact": ("function App() { return <b>{‸x}</b>; }", ("App",), "function App()"),
    "go": ("package p\nfunc (s *T) M(x int) int { return ‸x }\n", ("M",), "func (s *T) M(x int) int"),
    "rust": ("impl A { fn m(&self) -> i32 { ‸x } }", ("A", "m"), "fn m(&self) -> i32"),
    "java": ("class A { int m(int x) { return ‸x; } }", ("A", "m"), "int m(int x)"),
    "c": ("int m(int x) { return ‸x; }", ("m",), "int m(int x)"),
    "cpp": ("class A { int m(int x) { return ‸x; } };", ("A", "m"), "int m(int x)"),
    "csharp": ("class A { int M(int x) { return ‸x; } }", ("A", "M"), "int M(int x)"),
    "ruby": ("class A\n  def m(x)\n    ‸x\n  end\nend\n", ("A", "m"), "def m(x)"),
    "php": ("<?php\nclass A { function m($x) { return ‸$x; } }", ("A", "m"), "function m($x)"),
    "kotlin": ("class A { fun m(x: Int): Int { return ‸x } }", ("A", "m"), "fun m(x: Int): Int"),
    "swift": ("class A { func m(x: Int) -> Int { return ‸x } }", ("A", "m"), "func m(x: Int) -> Int"),
    "scala": ("object A { def m(x: Int): Int = { ‸x } }", ("A", "m"), "def m(x: Int): Int ="),
    "lua": ("function m(x)\n  return ‸x\nend\n", ("m",), "function m(x)"),
    "shellscript": ("m() {\n  echo ‸x\n}\n", ("m",), "m()"),
    "haskell": ("m x = ‸x + 1\n", ("m",), "m x = x + 1"),
    "julia": ("module A\nfunction m(x)\n  ‸x\nend\nend\n", ("A", "m"), "function m(x)"),
    "elixir": ("defmodule A do\n  def m(x) do\n    ‸x\n  end\nend\n", ("A", "m"), "def m(x)"),
    "zig": ("pub fn m(x: i32) i32 {\n  return ‸x;\n}\n", ("m",), "fn m(x: i32) i32"),
    "dart": ("class A { int m(int x) { return ‸x; } }", ("A",), "class A"),
}


@pytest.mark.parametrize("language", NESTED)
def test_what_encloses_a_place(language: str) -> None:
    marked, names, signature = NESTED[language]
    tree, _, offset = place(marked, language)
    assert scopes.names(tree, offset) == names
    assert scopes.enclosing(tree, offset)[-1].signature == signature


def test_a_python_docstring_and_a_comment_before_are_documentation() -> None:
    tree, _, offset = place('def f():\n    """Does it."""\n    ‸pass\n', "python")
    assert scopes.enclosing(tree, offset)[0].docstring == '"""Does it."""'
    tree, _, offset = place("// Adds.\n// Twice.\nfunction f() { ‸ }\n", "javascript")
    assert scopes.enclosing(tree, offset)[0].docstring == "// Adds.\n// Twice."


def test_the_smallest_whole_scope_takes_decorators_and_indentation_along() -> None:
    tree, text, offset = place(
        "class A:\n    @cached\n    def m(self):\n        return ‸1\n\nx = 1\n", "python"
    )
    scope = scopes.smallest(tree, text, offset, offset)
    assert text[scope.start : scope.end] == "    @cached\n    def m(self):\n        return 1"
    assert (scope.kind, scope.name) == ("function", "m")


def test_outside_of_functions_a_statement_is_the_smallest_scope_and_lines_without_a_tree() -> None:
    tree, text, offset = place("import os\nvalues = [\n    ‸1,\n    2,\n]\nx = 1\n", "python")
    scope = scopes.smallest(tree, text, offset, offset)
    assert text[scope.start : scope.end] == "values = [\n    1,\n    2,\n]"
    lines = scopes.smallest(None, text, offset, offset)
    assert (lines.kind, text[lines.start : lines.end]) == ("lines", "    1,")


def test_a_selection_over_two_functions_takes_what_holds_both() -> None:
    text = "class A:\n    def a(self):\n        pass\n\n    def b(self):\n        pass\n"
    tree = syntax.parse(text, "python")
    assert scopes.smallest(tree, text, text.index("def a"), text.index("def b") + 5).name == "A"


COMMENTS = [
    ("python", "x = 1  # not ‸e\n", True),
    ("python", "x = 1  # note‸\ny", True),
    ("python", "x = 1‸  # note\n", False),
    ("python", "# note\n‸x = 1\n", False),
    ("javascript", "/* a ‸ b */ x", True),
    ("javascript", "/* a */‸ x", False),
    ("javascript", "x(); // ‸", True),
    ("html", "<!-- a ‸ b --><p>", True),
    ("lua", "x = 1 -- a‸", True),
    ("rust", "let x = 1; // a‸\n", True),
]


@pytest.mark.parametrize(("language", "marked", "expected"), COMMENTS)
def test_comments(language: str, marked: str, expected: bool) -> None:
    tree, _, offset = place(marked, language)
    assert sites.in_comment(tree, offset) is expected


STRINGS = [
    ("python", "x = 'a‸b'\n", True),
    ("python", "x = '‸'\n", True),
    ("python", "x = 'ab'‸\n", False),
    ("python", "x = ‸'ab'\n", False),
    ("python", "x = f'a{y‸z}b'\n", False),
    ("python", "x = f'a{yz}b‸'\n", True),
    ("python", '"""Doc ‸ string."""\n', True),
    ("javascript", "x = `a ${b‸} c`", False),
    ("javascript", "x = `a‸ ${b} c`", True),
    ("go", 'package p\nvar x = "a‸b"\n', True),
    ("rust", 'let x = "a‸b";', True),
    ("ruby", 'x = "a#{b‸} c"\n', False),
    ("java", 'class A { String x = "a‸b"; }', True),
]


@pytest.mark.parametrize(("language", "marked", "expected"), STRINGS)
def test_strings_and_the_code_inside_them(language: str, marked: str, expected: bool) -> None:
    tree, _, offset = place(marked, language)
    assert sites.in_string(tree, offset) is expected


ARGUMENTS = [
    ("python", "x = f(a, ‸)\n", True),
    ("python", "x = f(a, ‸", True),
    ("python", "def f(a, ‸):\n    pass\n", False),
    ("python", "x = (a, ‸)\n", False),
    ("python", "if (a ‸):\n    pass\n", False),
    ("javascript", "f(a, ‸);", True),
    ("javascript", "f(a, () => { ‸ });", False),
    ("go", "package p\nfunc f() { g(a, ‸) }\n", True),
    ("kotlin", "fun f() { g(a, ‸) }", True),
]


@pytest.mark.parametrize(("language", "marked", "expected"), ARGUMENTS)
def test_argument_lists_closed_or_not(language: str, marked: str, expected: bool) -> None:
    tree, text, offset = place(marked, language)
    assert sites.in_arguments(tree, text, offset) is expected


MULTILINE = [
    ("python", "def f(a):\n    ‸\n", True),
    ("python", "def f(a):‸\n", True),
    ("python", "x = 1\n‸\ny = 2\n", True),
    ("python", "x = ‸\n", False),
    ("python", "x = [\n    1,\n    ‸\n]\n", False),
    ("python", "x = f(‸)\n", False),
    ("javascript", "function f() {‸}\n", True),
    ("javascript", "function f() {\n  ‸\n}\n", True),
    ("javascript", "let x = ‸;\n", False),
    ("go", "package p\nfunc f() {\n\t‸\n}\n", True),
    ("nonsense", "if x {\n  ‸\n", True),
]


@pytest.mark.parametrize(("language", "marked", "expected"), MULTILINE)
def test_where_a_block_of_several_lines_belongs(language: str, marked: str, expected: bool) -> None:
    offset = marked.index("‸")
    text = marked.replace("‸", "")
    assert sites.multiline(syntax.parse(text, language), text, offset, language) is expected


@pytest.mark.parametrize("rest", ["", ")", '")', "]);", "  }", "):", ", "])
def test_closing_signs_alone_do_not_matter(rest: str) -> None:
    assert sites.closing_only(rest)
    assert not sites.closing_only(rest + "x")
