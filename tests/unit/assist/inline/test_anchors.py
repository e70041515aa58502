"""Typing along: what still agrees, and what is left of a suggestion."""

from __future__ import annotations

import pytest

from codeface_lsp.assist.inline.anchors import Anchor, Rest, Written


@pytest.mark.parametrize(
    ("text", "offset", "typed"),
    [
        ("ab;z", 2, ""),
        ("abc;z", 3, "c"),
        ("abc();z", 4, "c("),
        ("a;z", 1, None),
        ("abc;y", 3, None),
        ("xbc;z", 3, None),
        ("abcxx;z", 3, None),
    ],
)
def test_typed_since(text: str, offset: int, typed: str | None) -> None:
    assert Anchor("ab", ";z").typed(text, offset) == typed


def test_typing_over_an_auto_closed_bracket_agrees() -> None:
    assert Anchor("f(", ")\n").typed("f(x)\n", 4) == "x)"


def test_a_rest_is_what_was_not_typed_yet() -> None:
    written = Written("x = ", "f(a, b):", ")", "\nend")
    assert written.result == "x = f(a, b):\nend"
    assert written.rest("x = )\nend", 4) == Rest("f(a, b):", 5)
    assert written.rest("x = f()\nend", 6) == Rest("a, b):", 7)
    assert written.rest("x = g)\nend", 5) is None
    assert written.rest("x = f(a, b):\nend", 12) is None, "nothing is left"


def test_every_way_of_typing_ends_in_the_same_text() -> None:
    written = Written("if ", "check(items[0], 'a')", "", ":\n    pass\n")
    for offset in range(len(written.text)):
        typed = written.text[:offset]
        for auto in ("", ")", "])", "')"):
            text = written.prefix + typed + auto + written.tail
            rest = written.rest(text, len(written.prefix) + offset)
            if rest is not None:
                cursor = len(written.prefix) + offset
                assert text[:cursor] + rest.text + text[rest.end :] == written.result
