"""Infers a checkpoint's family from its config and tokenizer; its name only decides between look-alikes.

A token in the vocabulary does not yet mean that the model was trained on it: CodeLlama 34B, plain Qwen2.5 and newer
Mistral models carry fill-in-the-middle tokens that they never saw. See docs/MODELS.md.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from codeface_lsp.models.types import Tokenizer
from codeface_lsp.prompting.families import FAMILIES, Family, Fim, from_model_name

log = logging.getLogger(__name__)

_BY_TYPE = {
    "gpt2": "gpt2",
    "gpt_neo": "gpt-neo",
    "phi": "phi2",
    "phi3": "phi3",
    "falcon": "falcon",
    "bloom": "bloom",
    "opt": "opt",
    "t5": "t5",
    "bert": "bert",
    "roberta": "roberta",
    "qwen2": "qwen",
    "qwen3": "qwen",
}


def infer(
    config: Mapping[str, Any], tokenizer: Tokenizer, *, name: str = "", pinned: str | None = None
) -> Family:
    """The family of a checkpoint, without its FIM part where the tokenizer lacks a marker of it.

    `pinned` (from the registry or `codeface.json`) wins; `name` is the folder or hub id.
    """
    family = FAMILIES[pinned] if pinned in FAMILIES else _guess(config, tokenizer, name.lower())
    return _checked(family, tokenizer)


def missing_markers(fim: Fim, tokenizer: Tokenizer) -> list[str]:
    """Spellings of the FIM markers that the tokenizer does not have."""
    wanted = (fim.prefix, fim.suffix, fim.middle, fim.file_separator)
    return [token for token in wanted if token and tokenizer.token_id(token) is None]


def _checked(family: Family, tokenizer: Tokenizer) -> Family:
    missing = missing_markers(family.fim, tokenizer)
    if not missing:
        return family
    if missing == [family.fim.file_separator]:
        return replace(family, fim=replace(family.fim, file_separator=None))
    log.warning("Tokenizer of family %s lacks %s: completing from the prefix alone", family.name, missing)
    return replace(family, fim=Fim())


def _guess(config: Mapping[str, Any], tokenizer: Tokenizer, name: str) -> Family:
    def has(token: str) -> bool:
        return tokenizer.token_id(token) is not None

    kind = str(config.get("model_type", ""))
    layers = int(config.get("num_hidden_layers") or 0)
    found: str | None = None
    if has("▁<PRE>"):
        found = {48: "llama2", 80: "codellama-70b"}.get(layers, "codellama")
    elif has("<|fim_prefix|>") and has("<|fim_middle|>"):
        found = _piped(kind, name)
    elif has("<fim-prefix>"):
        found = "santacoder"
    elif has("<fim_prefix>"):
        found = _starcoder_spelling(kind, name, config, has)
    elif has("<｜fim▁begin｜>"):
        found = "deepseek-coder" if kind == "llama" else "deepseek-coder-v2"
    elif has("<[fim-prefix]>"):
        found = "seed-coder"
    elif has("[SUFFIX]") and has("[PREFIX]") and ("codestral" in name or layers == 56):
        found = "codestral"
    if found is None:
        found = _without_fim(kind, name, has)
    return FAMILIES[found]


def _piped(kind: str, name: str) -> str | None:
    if kind.startswith("gemma"):
        return "codegemma"
    plain_qwen = "qwen" in name and "coder" not in name
    return "qwen" if plain_qwen else "qwen2.5-coder"


def _starcoder_spelling(kind: str, name: str, config: Mapping[str, Any], has: Any) -> str | None:
    by_type = {
        "starcoder2": "starcoder2",
        "stablelm": "stable-code",
        "qwen2": "codeqwen1.5",
        "gpt_refact": "refact",
    }
    if kind in by_type:
        return by_type[kind]
    if "granite" in name or config.get("mlp_bias") or config.get("attention_bias") or kind == "granite":
        return "granite"
    if kind == "gpt_bigcode":
        return "starcoder"
    if has("<|system|>") and has("<|end|>") and has("<file_sep>"):
        return "codeface-tiny"
    if kind != "llama":
        return None
    return "mellum" if has("<filename>") else "stable-code"


def _without_fim(kind: str, name: str, has: Any) -> str:
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if has("<|start_header_id|>"):
        return "llama3"
    if has("<start_of_turn>"):
        return "gemma"
    if has("<|im_start|>"):
        return "qwen"
    named = from_model_name(name)
    if not named.fim.prefix and named.name != "plain":
        return named.name
    return {"llama": "llama2", "mistral": "mistral", "mixtral": "mistral", "gemma": "gemma"}.get(
        kind, "plain"
    )
