from __future__ import annotations

import pytest

from codeface_lsp.prompting.chat_formats import FORMATS
from codeface_lsp.prompting.families import FAMILIES, MAX_STOPS, Family, from_model_name


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda f: f.name)
def test_every_family_is_complete_and_consistent(family: Family) -> None:
    fim = family.fim
    assert family.chat_format in FORMATS
    assert len(fim.stop) <= MAX_STOPS
    assert fim.orders
    if fim.orders == ("none",):
        assert not (fim.prefix or fim.suffix or fim.middle)
    else:
        assert fim.prefix and fim.suffix and fim.stop
        assert fim.middle or fim.orders == ("spm",)
    assert not (fim.file_separator and fim.file_heading)
    assert not fim.line_after_middle


@pytest.mark.parametrize("name", ["codeface-tiny", "codellama", "starcoder", "starcoder2", "santacoder"])
def test_where_the_compatible_suffix_first_form_was_trained_it_comes_first(name: str) -> None:
    assert FAMILIES[name].fim.orders[0] == "spm2"


@pytest.mark.parametrize("name", ["mellum", "refact", "seed-coder", "codestral"])
def test_where_the_plain_suffix_first_form_was_trained_it_comes_first(name: str) -> None:
    assert FAMILIES[name].fim.orders[0] == "spm"


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("codellama/CodeLlama-7b-hf", "codellama"),
        ("codellama:34b-instruct", "llama2"),
        ("CodeLlama-7b-Python-hf", "llama2"),
        ("codellama/CodeLlama-70b-Instruct-hf", "codellama-70b"),
        ("bigcode/starcoder2-3b", "starcoder2"),
        ("bigcode/starcoderbase-1b", "starcoder"),
        ("qwen2.5-coder:1.5b", "qwen2.5-coder"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen"),
        ("Qwen/CodeQwen1.5-7B", "codeqwen1.5"),
        ("deepseek-coder:6.7b-base", "deepseek-coder"),
        ("deepseek-ai/DeepSeek-Coder-V2-Lite-Base", "deepseek-coder-v2"),
        ("google/codegemma-2b", "codegemma"),
        ("google/gemma-2b-it", "gemma"),
        ("mistralai/Codestral-22B-v0.1", "codestral"),
        ("mistralai/Mamba-Codestral-7B-v0.1", "plain"),
        ("ibm-granite/granite-3b-code-base-2k", "granite"),
        ("facebook/opt-1.3b", "opt"),
        ("my-own-model", "plain"),
    ],
)
def test_a_name_tells_the_family_where_nothing_else_does(model: str, family: str) -> None:
    assert from_model_name(model).name == family
