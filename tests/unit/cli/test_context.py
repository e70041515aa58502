from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from codeface_lsp.cli.context import context
from codeface_lsp.errors import DocumentError


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(context)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "lib.py").write_text("def cook_rice(minutes: int) -> str:\n    return ''\n")
    (folder / "main.py").write_text("from lib import cook_rice\n\n\ndef dinner():\n    \n    return 1\n")
    return folder


def test_json_has_each_part_with_source_tokens_and_reason_and_the_prompt(project: Path) -> None:
    report = json.loads(run(str(project / "main.py"), "--line", "5", "--column", "5", "--json"))
    extra, suffix, prefix = report["parts"]
    assert (extra["source"], extra["file"], extra["why"]) == ("definition", "lib.py", "cook_rice: imported")
    assert "def cook_rice(minutes: int) -> str:" in extra["text"] and extra["tokens"] > 5
    assert suffix["text"] == "    return 1\n" and prefix["text"].endswith("def dinner():\n    ")
    assert all(part["text"] in report["prompt"] for part in report["parts"])
    assert report["site"]["multiline"] is True and report["site"]["enclosing"] == ["dinner"]
    assert report["tokens"] >= sum(part["tokens"] for part in report["parts"])


def test_the_table_names_every_part(project: Path) -> None:
    shown = run(str(project / "main.py"), "--line", "5")
    assert all(
        word in shown for word in ("definition", "lib.py", "suffix", "prefix", "multiline", "cook_rice")
    )


def test_what_cannot_be_shown_is_said_clearly(project: Path) -> None:
    with pytest.raises(DocumentError, match="has 7 lines; line 99"):
        run(str(project / "main.py"), "--line", "99")
    (project / ".env").write_text("A=1\n")
    with pytest.raises(DocumentError, match="holds secrets"):
        run(str(project / ".env"), "--line", "1")
    (project / "b.py").write_bytes(b"\0\1")
    with pytest.raises(DocumentError, match="is not text"):
        run(str(project / "b.py"), "--line", "1")
