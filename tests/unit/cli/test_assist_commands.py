"""The assistant in a pipe: prompts, a search and an explanation as plain text."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeface_lsp.assist.commit import tidy
from codeface_lsp.cli import session
from codeface_lsp.cli.prompts import override, show
from codeface_lsp.endpoints.types import Chunk
from codeface_lsp.errors import CodeFaceError, DocumentError, PromptError


def test_prompts_are_shown_and_overridden(capsys: pytest.CaptureFixture[str]) -> None:
    show("system")
    assert "You are CodeFace" in capsys.readouterr().out
    override("commit")
    own = Path(capsys.readouterr().out.strip())
    own.write_text("Mine: {{ diff }} {{ log }}")
    show("commit")
    assert capsys.readouterr().out.startswith("Mine:")
    with pytest.raises(PromptError, match="of your own already"):
        override("commit")


@pytest.mark.parametrize(
    ("lines", "expected"), [(None, "a\nb\nc\n"), ("2-3", "b\nc"), ("2", ""), ("9", None), ("b", None)]
)
def test_lines_name_a_range(lines: str | None, expected: str | None, tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("a\nb\nc\n")
    if expected is None:
        with pytest.raises(DocumentError):
            session.place(file, lines)
        return
    snapshot, start, end = session.place(file, lines)
    assert snapshot.text[start:end] == expected


async def test_a_pipe_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        yield Chunk("**bold** ")
        yield Chunk("text", finish_reason="stop")

    assert await session.show(chunks()) is None
    assert capsys.readouterr().out == "**bold** text\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Add a parser.", "Add a parser"),
        ('"Add a parser"\n\nIt was missing.', "Add a parser\n\nIt was missing."),
        ("```\nAdd a parser\n\nWhy.\n```", "Add a parser\n\nWhy."),
    ],
)
def test_a_commit_message_is_tidied(answer: str, message: str) -> None:
    assert tidy(answer) == message


def test_a_long_subject_is_cut_and_nothing_of_it_lost() -> None:
    subject, _, body = tidy("Add " + "very " * 20 + "long").partition("\n\n")
    assert len(subject) <= 72 and body.startswith("...")
    with pytest.raises(CodeFaceError):
        tidy("  ")
