"""Streamed Markdown is printed for good as soon as a block cannot grow any more."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from codeface_lsp.cli.markdown import MarkdownStream, finished


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("", ""),
        ("one", ""),
        ("one\n", ""),
        ("one\n\ntwo", "one\n\n"),
        ("one\n\ntwo\n\n", "one\n\ntwo\n\n"),
        ("```py\nx\n\ny\n", ""),
        ("```py\nx\n\ny\n```\n", ""),
        ("one\n\n```py\nx\n\ny\n```\n\nthree", "one\n\n```py\nx\n\ny\n```\n\n"),
        ("one\n ", ""),
    ],
)
def test_a_block_is_finished_by_a_blank_line_outside_of_code(text: str, done: str) -> None:
    assert text[: finished(text)] == done


def test_all_that_was_fed_is_printed_once_whatever_ends_the_stream() -> None:
    out = io.StringIO()
    console = Console(file=out, width=40, height=10)
    with pytest.raises(KeyboardInterrupt), MarkdownStream(console) as stream:
        for piece in ("# Title\n", "\nfirst par", "agraph\n\n", "```py\nx = 1\n", "```\n", "last"):
            stream.feed(piece)
        raise KeyboardInterrupt
    printed = out.getvalue()
    assert [printed.count(word) for word in ("Title", "first paragraph", "x = 1", "last")] == [1, 1, 1, 1]
