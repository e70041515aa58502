from __future__ import annotations

import pytest

from codeface_lsp.context import syntax
from codeface_lsp.context.tag_queries import QUERIES
from codeface_lsp.context.tags import definitions

SAMPLES: dict[str, tuple[str, set[str]]] = {
    "python": (
        "LIMIT = 3\n@cache\ndef f(a):\n    return a\nclass A(B):\n    def m(self):\n        pass\n",
        {"LIMIT", "f", "A", "A.m"},
    ),
    "javascript": (
        "const a = () => 1;\nexport function f(x) {}\nclass A { m() {} }\n",
        {"a", "f", "A", "A.m"},
    ),
    "typescript": (
        "interface I { m(): void }\ntype T = string;\nenum E { X }\nexport abstract class A { n(): void {} }\n",
        {"I", "I.m", "T", "E", "A", "A.n"},
    ),
    "tsx": ("export const C = () => <b/>;\nfunction F() { return <C/>; }\n", {"C", "F"}),
    "go": (
        "package p\nconst Max = 1\nfunc (s *T) M(a int) int { return 1 }\ntype T struct { A int }\nfunc F() {}\n",
        {"Max", "M", "T", "F"},
    ),
    "rust": (
        "struct S;\nimpl S { fn m(&self) {} }\ntrait T { fn t(&self); }\nconst C: i32 = 1;\nmod q { fn f() {} }\n",
        {"S", "m", "T", "T.t", "C", "q", "q.f"},
    ),
    "java": (
        "class A { int x; int m() { return 1; } }\ninterface I { void n(); }\n",
        {"A", "A.x", "A.m", "I", "I.n"},
    ),
    "c": (
        "#define X 1\n#define F(a) a\nint *f(int a) { return 0; }\nstruct S { int x; };\nint g(int);\n",
        {"X", "F", "f", "S", "g"},
    ),
    "cpp": (
        "namespace n { class A { int m(); }; }\nint A::k() { return 1; }\n",
        {"n", "n.A", "A.m", "A.k"},
    ),
    "csharp": (
        "namespace N { class A { int P { get; } int M() { return 1; } } }\n",
        {"N", "N.A", "A.P", "A.M"},
    ),
    "ruby": ("module M\n  class A\n    def m(a)\n    end\n  end\nend\n", {"M", "M.A", "A.m"}),
    "php": ("<?php\nfunction f() {}\nclass A { function m() {} }\n", {"f", "A", "A.m"}),
    "kotlin": ("class A {\n  fun m(a: Int): Int { return 1 }\n}\nval top = 1\n", {"A", "A.m", "top"}),
    "swift": (
        "class A {\n  func m(a: Int) -> Int { return 1 }\n}\nprotocol P { func p() }\n",
        {"A", "A.m", "P", "P.p"},
    ),
    "scala": ("object A {\n  def m(a: Int): Int = 1\n}\ntrait B\n", {"A", "A.m", "B"}),
    "lua": ("function M.foo(a) end\nlocal function g() end\n", {"M.foo", "g"}),
    "bash": ("foo() {\n  echo 1\n}\n", {"foo"}),
    "sql": ("CREATE TABLE t (a int);\n", {"t"}),
    "haskell": ("foo :: Int -> Int\nfoo x = x\ndata A = A Int\n", {"foo", "A"}),
    "julia": ("module M\nfunction foo(a)\n  a\nend\nstruct A\n x::Int\nend\nend\n", {"M", "M.foo", "M.A"}),
    "elixir": ("defmodule M do\n  def foo(a) do\n    a\n  end\nend\n", {"M", "M.foo"}),
    "zig": ("pub fn foo() void {}\nconst A = 1;\n", {"foo", "A"}),
    "dart": ("class A { int foo(int a) { return 1; } }\n", {"A", "A.foo"}),
    "r": ("f <- function(x) x\n", {"f"}),
    "perl": ("package A;\nsub foo { 1 }\n", {"A", "foo"}),
    "ocaml": ("let f x = x + 1\nmodule M = struct let g = 2 end\n", {"f", "M", "M.g"}),
    "proto": ('syntax = "proto3";\nmessage A { int32 x = 1; }\n', {"A"}),
    "markdown": ("# Title\n\ntext\n", {"Title"}),
}


@pytest.mark.parametrize("grammar", sorted(SAMPLES))
def test_definitions_are_found_with_their_owner(grammar: str) -> None:
    text, expected = SAMPLES[grammar]
    tree = syntax.parse_grammar(text, grammar)
    assert tree is not None
    found = {f"{d.parent}.{d.name}" if d.parent else d.name for d in definitions(tree)}
    assert found == expected


@pytest.mark.parametrize("grammar", sorted(QUERIES))
def test_every_query_fits_its_grammar(grammar: str) -> None:
    syntax.compile_query(grammar, QUERIES[grammar])


def test_a_definition_starts_at_its_decorator_and_knows_its_body() -> None:
    tree = syntax.parse("@a\ndef f(\n    x,\n):\n    '''Doc.'''\n    return x\n", "python")
    assert tree is not None
    (found,) = definitions(tree)
    assert (found.start, found.body, found.end) == (0, 4, 5)


def test_what_python_assigns_in_the_branches_of_a_module_is_defined_there() -> None:
    text = (
        "if old:\n    a = 1\nelif older:\n    b = 2\nelse:\n    c = 3\n"
        "try:\n    d = 4\nexcept OSError:\n    e = 5\nfinally:\n    f = 6\n"
        "if new:\n    for g in a:\n        h = 7\n    x.attribute = 8\n"
        "def i():\n    if a:\n        local = 9\n"
    )
    tree = syntax.parse(text, "python")
    assert tree is not None
    assert [(d.name, d.start) for d in definitions(tree) if d.kind == "variable"] == [
        ("a", 1), ("b", 3), ("c", 5), ("d", 7), ("e", 9), ("f", 11),
    ]  # fmt: skip
