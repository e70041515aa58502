"""Documents that nobody should write: bounded time, no error, less context."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from codeface_lsp.context import syntax
from codeface_lsp.context.builder import ContextBuilder
from codeface_lsp.context.languages import LANGUAGES
from codeface_lsp.context.parts import Budget, Parts
from codeface_lsp.endpoints.token_counter import EstimatedCounter
from codeface_lsp.text.snapshot import Snapshot

BUDGET = Budget(1500, 600, 225)
COUNTER = EstimatedCounter()


def build(
    text: str, offset: int, language: str = "python", builder: ContextBuilder | None = None
) -> tuple[Parts, float]:
    snapshot = Snapshot("file:///x", "/x", language, 0, text)
    started = time.thread_time()
    parts = (builder or ContextBuilder()).build(snapshot, offset, BUDGET, COUNTER)
    return parts, time.thread_time() - started


def check(parts: Parts, text: str, offset: int) -> None:
    assert parts.tokens <= BUDGET.total
    assert text[:offset].endswith(parts.prefix)
    assert parts.prefix or offset == 0


def test_a_file_of_200_000_lines_gets_its_window_without_a_tree() -> None:
    text = "value = compute(1, 2, 3)\n" * 200_000
    offset = len(text) // 2
    builder = ContextBuilder()
    parts, first = build(text, offset, builder=builder)
    check(parts, text, offset)
    again, second = build(text[:offset] + "x" + text[offset:], offset + 1, builder=builder)
    assert again.suffix is parts.suffix
    assert first < 1.0 and second < 0.25


def test_a_minified_line_of_5_megabytes_gets_a_window_inside_it() -> None:
    text = "function f(a){return a+1};" * 200_000
    offset = len(text) // 2
    builder = ContextBuilder()
    parts, first = build(text, offset, "javascript", builder)
    check(parts, text, offset)
    assert len(parts.prefix) > 300 and len(parts.line_suffix) <= 1000
    again, second = build(text[:offset] + "x" + text[offset:], offset + 1, "javascript", builder)
    assert again.prefix == parts.prefix + "x"
    assert first < 1.0 and second < 0.25


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\r\n\r\n",
        "a\rb\nc\r\nd",
        "\udc80 = '\ud800'\nx",
        "\0\0\n\0",
        "﻿x = 1\n",
        "é😀" * 500,
        "(" * 5000,
        "\n" * 9000,
    ],
    ids=["empty", "line end", "crlf", "mixed", "surrogates", "nul", "bom", "wide", "deep", "blank"],
)
@pytest.mark.parametrize("language", ["python", "javascript", "yaml", "markdown", "nonsense"])
def test_odd_texts_are_served(text: str, language: str) -> None:
    for offset in {0, len(text) // 2, len(text)}:
        parts, spent = build(text, offset, language)
        check(parts, text, offset)
        assert spent < 2.0


@pytest.mark.parametrize("language", [language.ids[0] for language in LANGUAGES])
def test_every_language_has_a_grammar_that_parses_and_reparses(language: str) -> None:
    tree = syntax.parse("a = 1\n", language)
    assert tree is not None
    changed = tree.updated("a = 12\nb\n")
    assert changed is not None and changed.text == "a = 12\nb\n"
    assert tree.text == "a = 1\n"


@pytest.mark.parametrize(
    "language", ["python", "javascript", "rust", "cpp", "ruby", "haskell", "markdown", "sql"]
)
def test_an_incremental_parse_gives_what_a_fresh_one_gives(language: str) -> None:
    text = "def f(a):\n    return [a, 'é😀']\n\nclass B:\n    x = 1\n" * 20
    tree = syntax.parse(text, language)
    assert tree is not None
    for at, new in ((10, "x"), (len(text) // 2, "\n    y = 'ü'\n"), (len(text) - 3, "")):
        text = text[:at] + new + text[at + (2 if not new else 0) :]
        tree = tree.updated(text)
        fresh = syntax.parse(text, language)
        assert tree is not None and fresh is not None
        assert str(tree.root) == str(fresh.root)


def test_a_parse_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "TIME_LIMIT_S", 0.0)
    text = "value = compute(1)\n" * 20_000
    assert syntax.parse(text, "python") is None
    check(build(text, 5000)[0], text, 5000)
    monkeypatch.undo()
    assert syntax.parse("x = 1\n", "python") is not None


def test_first_parses_keep_no_copies_of_the_text() -> None:
    text = "".join(f"value_{number} = compute(1)\n" for number in range(10_000))
    assert syntax.parse(text, "python") is not None
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            syntax.parse(text, "python")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / 5 < len(text) / 2


def test_whether_a_text_parses() -> None:
    assert syntax.parses("x = 1\n", "python") is True
    assert syntax.parses("x = (\n", "python") is False
    assert syntax.parses("x", "nonsense") is None
    assert syntax.error_count("x = (\ny = ]\n", "python") or 0 > 0
