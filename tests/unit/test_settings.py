"""Settings: layers, strictness, and what a workspace may not set."""

from __future__ import annotations

from pathlib import Path

import pytest

from codeface_lsp import settings
from codeface_lsp.cli.settings import documented_defaults
from codeface_lsp.errors import SettingsError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_without_any_layer_the_defaults_hold(file: Path) -> None:
    assert settings.load(environ={}, file=file) == settings.Settings()


def test_later_layers_win(file: Path) -> None:
    file.write_text("engine:\n  device: cuda\n  threads: 1\n  port: 5\n")
    loaded = settings.load(
        {"engine": {"device": "cpu"}},
        environ={"CODEFACE_ENGINE__DEVICE": "mps", "CODEFACE_ENGINE__THREADS": "2"},
        file=file,
    )
    assert (loaded.engine.device, loaded.engine.threads, loaded.engine.port) == ("cpu", 2, 5)


def test_environment_values_are_typed_as_in_yaml(file: Path) -> None:
    loaded = settings.load(
        environ={
            "CODEFACE_COMPLETION__PREFETCH": "false",
            "CODEFACE_COMPLETION__DISABLED_LANGUAGES": "[markdown]",
        },
        file=file,
    )
    assert loaded.completion.prefetch is False
    assert loaded.completion.disabled_languages == ["markdown"]


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        ({"engine": {"devise": "cpu"}}, "engine.device"),
        ({"engin": {"device": "cpu"}}, "engine"),
        ({"completion": {"multi_line": "auto"}}, "completion.multiline"),
    ],
)
def test_an_unknown_key_names_the_nearest_one(layer: dict[str, object], hint: str, file: Path) -> None:
    with pytest.raises(SettingsError, match=f"did you mean `{hint}`"):
        settings.load(layer, environ={}, file=file)


def test_an_unknown_environment_variable_is_an_error(file: Path) -> None:
    with pytest.raises(SettingsError, match="engine\\.device"):
        settings.load(environ={"CODEFACE_ENGINE__DEVISE": "cpu"}, file=file)


def test_a_value_of_the_wrong_type_is_named(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"`completion\.max_tokens`"):
        settings.load({"completion": {"max_tokens": "many"}}, environ={}, file=file)


@pytest.mark.parametrize("text", ["engine: [", "- a\n- b\n", "\x00"])
def test_an_unreadable_file_says_which(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        settings.load(environ={}, file=file)


def test_a_workspace_may_set_only_harmless_keys(file: Path) -> None:
    hostile = {
        "completion": {"multiline": "never", "max_tokens": 5},
        "engine": {"python": "/tmp/evil", "command": ["sh"]},
        "model": {"completion": "evil/model"},
        "cache": {"url": "redis://evil"},
        "endpoints": [{"name": "evil", "url": "http://evil"}],
    }
    loaded = settings.load(workspace=hostile, environ={}, file=file)
    assert loaded == settings.Settings(completion=settings.CompletionSettings(multiline="never"))
    assert set(settings.refused_keys(hostile)) == {
        "completion.max_tokens",
        "engine.python",
        "engine.command",
        "model.completion",
        "cache.url",
        "endpoints",
    }


def test_no_key_that_names_a_model_address_command_or_interpreter_is_harmless() -> None:
    for key in settings.WORKSPACE_KEYS:
        assert key.split(".")[0] in {"completion", "context", "chat"}, key
    assert not {"chat.formatter"} & settings.WORKSPACE_KEYS


def test_a_secret_is_not_printed(file: Path) -> None:
    loaded = settings.load(
        {"endpoints": [{"name": "a", "url": "http://b", "api_key": "sk-1"}]}, environ={}, file=file
    )
    assert "sk-1" not in repr(loaded) + loaded.model_dump_json()


def test_the_documented_defaults_are_current() -> None:
    written = (ROOT / "config" / "default.yaml").read_text(encoding="utf-8")
    assert written == documented_defaults(), "run `make config`"


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(documented_defaults(), encoding="utf-8")
    assert settings.load(environ={}, file=path) == settings.Settings()
