from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from codeface_lsp.models.family import infer
from codeface_lsp.prompting.families import FAMILIES


class Vocabulary:
    """A tokenizer of which only the vocabulary matters."""

    vocab_size = 100
    eos_ids = frozenset({0})
    bos_id = None
    chat_template = None

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    def encode(self, text: str) -> list[int]:
        return []

    def decode(self, ids: Sequence[int]) -> str:
        return ""

    def token_id(self, token: str) -> int | None:
        return self.tokens.index(token) if token in self.tokens else None

    def spelling(self, token_id: int) -> str | None:
        return self.tokens[token_id]

    def is_special(self, token: str) -> bool:
        return token in self.tokens

    def token_bytes(self, token_id: int) -> bytes:
        return b""


STARCODER = (
    "<|endoftext|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
    "<filename>",
    "<reponame>",
)
PIPED = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_sep|>", "<|im_start|>")
CODE_LLAMA = ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>")
DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")
OURS = (*STARCODER[:5], "<file_sep>", "<|system|>", "<|end|>")


@pytest.mark.parametrize(
    ("config", "tokens", "name", "family"),
    [
        ({"model_type": "llama", "num_hidden_layers": 32}, CODE_LLAMA, "m", "codellama"),
        ({"model_type": "llama", "num_hidden_layers": 48}, CODE_LLAMA, "m", "llama2"),
        ({"model_type": "llama", "num_hidden_layers": 80}, CODE_LLAMA, "m", "codellama-70b"),
        ({"model_type": "gpt_bigcode"}, STARCODER, "m", "starcoder"),
        ({"model_type": "gpt_bigcode"}, STARCODER, "granite-20b-code", "granite"),
        ({"model_type": "llama", "mlp_bias": True}, STARCODER, "m", "granite"),
        ({"model_type": "llama"}, STARCODER, "m", "mellum"),
        ({"model_type": "llama"}, OURS, "m", "codeface-tiny"),
        ({"model_type": "starcoder2"}, (*STARCODER, "<file_sep>"), "m", "starcoder2"),
        ({"model_type": "stablelm"}, STARCODER, "m", "stable-code"),
        ({"model_type": "qwen2"}, STARCODER, "m", "codeqwen1.5"),
        ({"model_type": "gpt_refact"}, STARCODER, "m", "refact"),
        ({"model_type": "gpt_bigcode"}, ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"), "m", "santacoder"),
        ({"model_type": "qwen2"}, PIPED, "Qwen2.5-Coder-7B", "qwen2.5-coder"),
        ({"model_type": "qwen2"}, PIPED, "my-finetune", "qwen2.5-coder"),
        ({"model_type": "qwen2"}, PIPED, "Qwen2.5-7B-Instruct", "qwen"),
        ({"model_type": "gemma"}, (*PIPED[:3], "<|file_separator|>"), "m", "codegemma"),
        ({"model_type": "gemma"}, ("<start_of_turn>",), "m", "gemma"),
        ({"model_type": "llama"}, DEEPSEEK, "m", "deepseek-coder"),
        ({"model_type": "deepseek_v2"}, DEEPSEEK, "m", "deepseek-coder-v2"),
        ({"model_type": "llama"}, ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"), "m", "seed-coder"),
        ({"model_type": "mistral", "num_hidden_layers": 56}, ("[PREFIX]", "[SUFFIX]"), "m", "codestral"),
        ({"model_type": "mistral", "num_hidden_layers": 32}, ("[PREFIX]", "[SUFFIX]"), "m", "mistral"),
        ({"model_type": "llama"}, ("<|start_header_id|>",), "m", "llama3"),
        ({"model_type": "llama"}, (), "TinyLlama-1.1B-Chat", "tinyllama"),
        ({"model_type": "llama"}, (), "m", "llama2"),
        ({"model_type": "gpt_neo"}, (), "m", "gpt-neo"),
        ({"model_type": "phi"}, (), "m", "phi2"),
        ({"model_type": "roberta"}, (), "m", "roberta"),
        ({"model_type": "unheard_of"}, (), "m", "plain"),
    ],
)
def test_config_and_tokenizer_tell_the_family(
    config: dict[str, Any], tokens: tuple[str, ...], name: str, family: str
) -> None:
    assert infer(config, Vocabulary(*tokens), name=name).name == family


def test_the_registry_may_pin_the_family() -> None:
    assert infer({"model_type": "llama"}, Vocabulary(*STARCODER), pinned="granite").name == "granite"


def test_a_family_whose_markers_the_tokenizer_lacks_completes_from_the_prefix_alone() -> None:
    family = infer({"model_type": "llama"}, Vocabulary(), pinned="codellama")
    assert family.fim.orders == ("none",)
    assert family.chat_format == FAMILIES["codellama"].chat_format


def test_without_a_file_separator_the_rest_of_the_form_stays() -> None:
    family = infer({"model_type": "llama"}, Vocabulary(*STARCODER[:5]), pinned="codeface-tiny")
    assert family.fim.orders[0] == "spm2"
    assert family.fim.file_separator is None
