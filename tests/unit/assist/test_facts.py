from __future__ import annotations

import pytest

from codeface_lsp.assist import facts
from codeface_lsp.context import syntax

SAMPLES = {
    "python": (
        (
            "def f(a: int, *b, c=1):\n"
            "    for x in b:\n"
            "        if x and a:\n"
            "            raise KeyError(x)\n"
            "    return g(c)\n"
        ),
        ("a: int", "*b", "c=1"),
        ("KeyError", "g"),
        ("KeyError",),
        4,
    ),
    "javascript": (
        "function f(a, ...b) {\n  if (a || b) { throw new TypeError('x') }\n  return g.h(a ? 1 : 2)\n}\n",
        ("a", "...b"),
        ("g.h",),
        ("TypeError",),
        4,
    ),
    "go": (
        "package m\n\nfunc f(a, b int) int {\n\tfor a < b {\n\t\ta += g(b)\n\t}\n\treturn a\n}\n",
        ("a, b int",),
        ("g",),
        (),
        2,
    ),
    "java": (
        "class X { int f(int a) { while (a > 0) { a = g(a); } throw new Error(); } }\n",
        ("int a",),
        ("g",),
        ("Error",),
        2,
    ),
}


@pytest.mark.parametrize("language", SAMPLES)
def test_what_the_tree_knows(language: str) -> None:
    text, parameters, calls, raises, complexity = SAMPLES[language]
    tree = syntax.parse(text, language)
    assert tree is not None
    at = text.index("g") + 1 if language == "python" else text.index("a", text.index("{", text.index("f(")))
    found = facts.of_range(tree, at, at)
    assert (found.name, found.parameters, found.complexity) == ("f", parameters, complexity)
    assert (found.calls, found.raises) == (calls, raises)


def test_a_nested_functions_decisions_are_its_own() -> None:
    text = "def f():\n    def g(x):\n        if x:\n            return h()\n    return g\n"
    tree = syntax.parse(text, "python")
    assert tree is not None
    outer = facts.of_range(tree, text.rindex("return"), text.rindex("return"))
    assert (outer.name, outer.complexity, outer.calls) == ("f", 1, ())
