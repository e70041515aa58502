"""Budgets are exact with the model's own tokenizer, and safe without it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from codeface_lsp import paths
from codeface_lsp.endpoints import token_counter
from codeface_lsp.endpoints.local_models import tokenizer_file
from codeface_lsp.endpoints.token_counter import EstimatedCounter, ExactCounter, open_counter
from codeface_lsp.settings import EndpointSettings, ModelSettings, Settings

CODE = Path(token_counter.__file__).read_text(encoding="utf-8")
SAMPLES = [
    CODE,
    textwrap.indent(CODE, "        "),
    'const naïve = "東京 🙂";\n' * 20,
    "0x7f3a9b2c4d5e6f708192 = 1234567890\n" * 20,
    "((((([[[[{{{{;;;;,,,,----++++====>>>>" * 10,
]


def bundled() -> Path:
    file = tokenizer_file("codeface-tiny")
    assert file is not None
    return file


def test_the_bundled_model_is_counted_exactly() -> None:
    counter = open_counter(Settings())
    assert isinstance(counter, ExactCounter)
    assert counter.count("") == 0
    exact = Tokenizer.from_file(str(bundled()))
    assert counter.count(CODE) == len(exact.encode(CODE, add_special_tokens=False).ids)


def test_special_tokens_in_a_file_count_as_the_text_that_they_are() -> None:
    assert ExactCounter(bundled()).count("<fim_middle>") > 1


def test_a_model_folder_is_counted_with_its_own_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(bundled().read_bytes())
    settings = Settings(model=ModelSettings(completion=str(tmp_path)))
    assert isinstance(open_counter(settings), ExactCounter)


def test_a_registry_name_leads_to_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(bundled().read_bytes())
    registry = paths.config_file().with_name("models.yaml")
    registry.parent.mkdir(parents=True, exist_ok=True)
    registry.write_text(f"models:\n  mine:\n    model_name: {folder}\n")
    assert tokenizer_file("mine") == folder / "tokenizer.json"


def test_the_hub_s_cache_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--owner--name" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "tokenizer.json").write_bytes(bundled().read_bytes())
    assert tokenizer_file("owner/name") == snapshot / "tokenizer.json"


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_broken_tokenizer_falls_back_to_the_estimate(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    settings = Settings(model=ModelSettings(completion=str(tmp_path)))
    assert isinstance(open_counter(settings), EstimatedCounter)


def test_somebody_else_s_server_is_counted_by_estimate() -> None:
    settings = Settings(endpoints=[EndpointSettings(name="vllm", url="http://127.0.0.1:1")])
    assert isinstance(open_counter(settings), EstimatedCounter)


@pytest.mark.parametrize("text", SAMPLES, ids=range(len(SAMPLES)))
def test_the_estimate_is_never_below_the_small_vocabulary_of_the_bundled_model(text: str) -> None:
    exact, estimate = ExactCounter(bundled()).count(text), EstimatedCounter().count(text)
    assert exact <= estimate


def test_the_estimate_leaves_at_least_half_of_a_budget_to_be_used() -> None:
    assert EstimatedCounter().count(CODE) <= 2 * ExactCounter(bundled()).count(CODE)
