"""Tiny random models of every architecture, and the tokenizer that goes with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 512
CORPUS = [
    "def add(first, second):\n    return first + second\n\n\nclass Point:\n    def __init__(self, x, y):\n",
    "        self.x = x\n        self.y = y\n\nfor index in range(10):\n    print(index, 'naïve – 東京 🙂')\n",
    "import os\nfrom pathlib import Path\n\nif __name__ == '__main__':\n    return self.main()\n",
]
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = {**SMALL, "num_key_value_heads": 2}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt_bigcode": {**GPT, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
    "starcoder2": GROUPED,
    "llama": GROUPED,
    "qwen2": GROUPED,
    "mistral": GROUPED,
    "stablelm": GROUPED,
    "gemma": {**GROUPED, "head_dim": 8},
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
    "phi": SMALL,
    "gpt2": GPT,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 16,
    },
    "falcon": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "new_decoder_architecture": True,
    },
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
    },
    "deepseek_v2": {
        **SMALL,
        "num_key_value_heads": 4,
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "t5": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
    "bert": SMALL,
    "roberta": SMALL,
}
AUTO = {
    "t5": transformers.AutoModelForSeq2SeqLM,
    "bert": transformers.AutoModel,
    "roberta": transformers.AutoModel,
}
"""What is no causal language model."""
SHARPER = 5
"""Weights so many times as large as usual: random models of the usual size say nearly the same at every place."""


def random_model(architecture: str, *, seed: int = 0, context: int = VOCABULARY, **changes: Any) -> Any:
    """A model of an architecture with random weights that reads at most `context` tokens."""
    values = {"vocab_size": VOCABULARY, "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 4}
    given = {**values, **_window(architecture, context), **CONFIGS[architecture], **changes}
    config = transformers.AutoConfig.for_model(architecture, **given)
    torch.manual_seed(seed)
    model = AUTO.get(architecture, transformers.AutoModelForCausalLM).from_config(config).eval()
    model.requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "embed" not in name and "wte" not in name:
            parameter.mul_(SHARPER)
    return model


def _window(architecture: str, context: int) -> dict[str, int]:
    if architecture in ("gpt2", "gpt_bigcode"):
        return {"n_positions": context}
    if architecture == "roberta":  # its positions begin behind the padding's
        return {"max_position_embeddings": context + 2}
    return {} if architecture in ("falcon", "bloom", "t5") else {"max_position_embeddings": context}


def specials(names: Sequence[str]) -> list[AddedToken]:
    """Special tokens of these names, as a trainer takes them."""
    return [AddedToken(name, special=True, normalized=False) for name in names]


def byte_level_bpe(special: Sequence[str], size: int = VOCABULARY) -> Tokenizer:
    """A byte-level BPE like StarCoder's, trained on `CORPUS`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=specials(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer
