from __future__ import annotations

import pytest

from codeface_lsp.prompting.code_blocks import extract, reindent, same_language


def test_blocks_are_taken_out_with_their_language() -> None:
    answer = "a\n```py\nx\n```\nb\n````md\n```\ninner\n```\n````\n  ~~~JS\n  y\n  ~~~\n```\nopen"
    found = extract(answer)
    assert [(b.language, b.code, b.closed) for b in found] == [
        ("python", "x\n", True),
        ("markdown", "```\ninner\n```\n", True),
        ("javascript", "y\n", True),
        ("", "open", False),
    ]
    assert answer[found[0].start : found[0].end] == "```py\nx\n```\n"


@pytest.mark.parametrize(
    ("code", "like", "expected"),
    [
        ("def f():\n    return 1", "    def g():\n        pass\n", "    def f():\n        return 1\n"),
        ("        a\n            b\n", "x\n", "a\n    b\n"),
        ("if a:\n  b\n", "\tif c:\n\t\td\n", "\tif a:\n\t\tb\n"),
        ("a\nb", "x\r\n", "a\r\nb\r\n"),
        ("a\n\n    b", "    x\n\n\n", "    a\n\n        b\n\n\n"),
        ("", "x\n", ""),
    ],
)
def test_code_takes_the_layout_of_its_place(code: str, like: str, expected: str) -> None:
    assert reindent(code, like) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "python", True),
        ("text", "python", True),
        ("javascript", "typescript", True),
        ("sql", "python", False),
    ],
)
def test_languages_differ_only_when_both_are_known(one: str, other: str, same: bool) -> None:
    assert same_language(one, other) is same
