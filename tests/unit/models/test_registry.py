from __future__ import annotations

from pathlib import Path

import pytest

from codeface_lsp import paths
from codeface_lsp.errors import ModelLoadError, SettingsError
from codeface_lsp.models.registry import Registry, read


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return read(tmp_path_factory.mktemp("none") / "models.yaml")


NAMED = [
    "codeface-tiny",
    "codellama-7b",
    "codellama-7b-instruct",
    "codellama-13b",
    "codellama-13b-instruct",
    "codellama-34b",
    "codellama-34b-instruct",
    "starcoder",
    "starcoderbase-1b",
    "starcoder2-3b",
    "starcoder2-7b",
    "starcoder2-15b",
    "qwen2.5-coder-0.5b",
    "qwen2.5-coder-1.5b",
    "qwen2.5-coder-3b",
    "qwen2.5-coder-7b",
    "qwen2.5-coder-14b",
    "qwen2.5-coder-32b",
    "deepseek-coder-1.3b",
    "deepseek-coder-6.7b",
    "codegemma-2b",
    "codegemma-7b",
    "granite-code-3b",
    "granite-code-8b",
    "codestral-22b",
    "gpt2",
    "gpt2-medium",
    "gpt-neo-2.7b",
    "tinyllama-chat",
    "mistral-7b-instruct",
    "llama-2-7b-chat",
    "llama-2-13b-chat",
    "qwen-7b-chat",
    "qwen-7b-chat-int4",
    "phi-2",
    "falcon-7b-instruct",
    "bloom-560m",
    "opt-1.3b",
    "gemma-2b-it",
    "t5-base",
    "codet5p-220m",
    "codebert",
    "unixcoder",
    "minilm",
]


@pytest.mark.parametrize("name", NAMED)
def test_the_registry_holds(registry: Registry, name: str) -> None:
    assert registry.find(name).name == name


def test_every_entry_is_described_and_its_fallbacks_exist(registry: Registry) -> None:
    for entry in registry.entries.values():
        assert entry.description and entry.licence and entry.roles
        assert not entry.trust_remote_code
        for other in entry.fallback:
            assert set(entry.roles) & set(registry.find(other).roles), (
                f"{other} cannot stand in for {entry.name}"
            )


@pytest.mark.parametrize("alias", ["small", "medium", "large"])
def test_aliases_name_entries(registry: Registry, alias: str) -> None:
    assert registry.find(alias).name == registry.aliases[alias]


def test_the_bundled_model_lies_where_codeface_is_installed(registry: Registry) -> None:
    assert registry.find("codeface-tiny").local == paths.shipped("bundled") / "codeface-tiny"


def test_a_hub_id_needs_no_entry_and_finds_its_entry_if_there_is_one(registry: Registry) -> None:
    assert registry.find("someone/some-model").model_name == "someone/some-model"
    assert registry.find("bigcode/starcoder2-3b").name == "starcoder2-3b"


def test_a_folder_and_a_gguf_file_need_no_entry(registry: Registry, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    assert registry.find(str(tmp_path)).local == tmp_path
    assert registry.find(str(file)).local == file


def test_an_unknown_name_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(ModelLoadError, match="codellama-7b") as caught:
        registry.find("code-lama-7b")
    assert caught.value.kind == "unknown_model"
    with pytest.raises(ModelLoadError, match="check the path"):
        registry.find("/no/such/folder")


def test_the_users_file_adds_and_replaces(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(
        "models:\n  mine: {model_name: me/mine, roles: [chat], quantization: 4bit}\n"
        "  gpt2: {model_name: me/gpt2, max_context_length: 512}\naliases: {small: mine}\n"
    )
    registry = read(file)
    assert registry.find("small").quantization == "4bit"
    assert registry.find("gpt2").model_name == "me/gpt2"
    assert registry.find("codellama-7b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models:\n  m: {model_name: a/b, quantisation: 4bit}", "quantisation"),
        ("models:\n  m: {model_name: a/b, quantization: 3bit}", "quantization"),
        ("models:\n  m: {description: no name}", "model_name"),
        ("models:\n  m: nothing", "not a mapping"),
        ("models:\n  m: {model_name: a/b, family: no-such}", "no-such"),
        ("aliases: {x: nowhere}", "nowhere"),
        ("- a list", "must hold"),
        ("models: [", "cannot be read"),
    ],
)
def test_a_bad_entry_is_one_sentence_that_names_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        read(file)
    assert "\n" not in caught.value.message
