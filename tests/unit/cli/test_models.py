"""The commands that need no engine; the others are tested against a real one in tests/e2e."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from codeface_lsp import paths
from codeface_lsp.cli.models import app
from codeface_lsp.errors import CodeFaceError

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with an empty model cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def run(*arguments: str, text: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=text)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_list_shows_state_size_and_what_serves_what(run: Run) -> None:
    found = {info["name"]: info for info in json.loads(run("list", "--json").output)}
    assert found["codeface-tiny"]["state"] == "downloaded"
    assert found["codeface-tiny"]["default_for"] == ["completion", "chat"]
    assert found["codellama-7b"]["state"] == "available"
    assert "codellama-7b" in run("list").output and "13.5 GB" in run("list").output
    assert "codellama-7b" not in run("list", "--here").output


def test_info_of_one_and_of_all_that_are_here(run: Run) -> None:
    (tiny,) = json.loads(run("info", "codeface-tiny", "--json").output)
    assert tiny["parameters"] > 1_000_000 and tiny["architecture"] == "llama"
    assert "licence: Apache-2.0" in run("info", "codeface-tiny").output
    assert run("info").output.startswith("codeface-tiny\n")


def test_an_unknown_name_is_answered_with_the_nearest(run: Run) -> None:
    with pytest.raises(CodeFaceError, match="`codellama-7b`"):
        run("info", "codelama-7b")


def test_the_default_is_written_into_the_settings(run: Run) -> None:
    run("default", "starcoder2-3b")
    assert paths.config_file().read_text() == "model:\n  completion: starcoder2-3b\n"
    found = {info["name"]: info for info in json.loads(run("list", "--json").output)}
    assert found["starcoder2-3b"]["default_for"] == ["completion"]
    with pytest.raises(CodeFaceError, match="completion, not chat"):
        run("default", "starcoder2-3b", "--role", "chat")


def test_tokens_are_counted_as_the_model_does(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f(x):\n    return x\n")
    count = int(run("count-tokens", str(file)).output)
    assert 5 < count < len(file.read_text())
    assert int(run("count-tokens", text=file.read_text()).output) == count
    with pytest.raises(CodeFaceError, match="models download codellama-7b"):
        run("count-tokens", str(file), "--model", "codellama-7b")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CodeFaceError, match="UTF-8"):
        run("count-tokens", str(file))


def test_validate_tells_what_a_model_is_and_takes(run: Run) -> None:
    result = run("validate", "codeface-tiny")
    assert result.exit_code == 0
    assert "fills in the middle (spm2, psm)" in result.output and "4bit" in result.output


def test_validate_fails_on_what_cannot_be_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"x")
    broken = run("validate", str(tmp_path / "m"), "--json")
    assert broken.exit_code == 1
    assert json.loads(broken.output)[-1]["name"] == "corrupted"
    assert run("validate", "codellama-7b").exit_code == 1


def test_without_an_engine_nothing_is_loaded(run: Run) -> None:
    assert "nothing is loaded" in run("unload").output


def test_what_was_not_downloaded_is_not_removed(run: Run) -> None:
    with pytest.raises(CodeFaceError, match="was not downloaded"):
        run("remove", "codeface-tiny", "--yes")
    with pytest.raises(CodeFaceError, match="nothing to remove"):
        run("remove", "codellama-7b", "--yes")


def test_what_is_here_is_not_downloaded(run: Run) -> None:
    assert "is on this machine" in run("download", "codeface-tiny").output
