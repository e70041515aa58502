from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from codeface_lsp import settings
from codeface_lsp.cli.user_config import set_key
from codeface_lsp.errors import SettingsError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "model:\n  chat: m\n"),
        ("# mine\nlog: {level: debug}", "# mine\nlog: {level: debug}\nmodel:\n  chat: m\n"),
        (
            "model:  # which\n    completion: a  # why\n\n    chat: b\nlog:\n  level: info\n",
            "model:  # which\n    completion: a  # why\n\n    chat: m\nlog:\n  level: info\n",
        ),
        ("model:\n    completion: a\nlog: {}\n", "model:\n    chat: m\n    completion: a\nlog: {}\n"),
        ("model:\nlog: {}\n", "model:\n  chat: m\nlog: {}\n"),
    ],
)
def test_one_key_changes_and_everything_else_stays(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "new" / "config.yaml"
    if before:
        file.parent.mkdir()
        file.write_text(before)
    set_key(file, "model", "chat", "m")
    assert file.read_text() == after
    assert settings.load(file=file, environ={}).model.chat == "m"


@pytest.mark.parametrize("value", ["owner/name", "/a b/c#d", "no", "7", "it's: a 'test'"])
def test_any_string_survives(tmp_path: Path, value: str) -> None:
    file = tmp_path / "config.yaml"
    set_key(file, "model", "chat", value)
    assert yaml.safe_load(file.read_text()) == {"model": {"chat": value}}


def test_a_file_in_another_form_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model: {chat: b}\n")
    with pytest.raises(SettingsError, match="set `model: chat: m` there yourself"):
        set_key(file, "model", "chat", "m")
    assert file.read_text() == "model: {chat: b}\n"
