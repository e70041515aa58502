"""Tiny random checkpoints of every architecture, built once per session and saved as real Hugging Face folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = [
    "def add(first, second):\n    return first + second\n\n\nclass Point:\n    def __init__(self, x, y):\n",
    "        self.x = x\n        self.y = y\n\nfor index in range(10):\n    print(index, 'naïve – 東京 🙂')\n",
    "import os\nfrom pathlib import Path\n\nif __name__ == '__main__':\n    main()\n",
]
SPECIALS = (
    "<|endoftext|>",
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
    "<file_sep>",
    "<repo_name>",
    "<filename>",
)
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
WINDOW = {"max_position_embeddings": 256}

CONFIGS: dict[str, dict[str, Any]] = {
    "gpt_bigcode": {**GPT, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
    "starcoder2": {**SMALL, **WINDOW, "num_key_value_heads": 2},
    "llama": {**SMALL, **WINDOW, "num_key_value_heads": 2},
    "mistral": {**SMALL, **WINDOW, "num_key_value_heads": 2},
    "qwen2": {**SMALL, **WINDOW, "num_key_value_heads": 2},
    "gpt2": GPT,
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 16,
        "max_position_embeddings": 256,
    },
    "phi": {**SMALL, **WINDOW},
    "stablelm": {**SMALL, **WINDOW, "num_key_value_heads": 2},
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
        "max_position_embeddings": 256,
    },
    "gemma": {**SMALL, **WINDOW, "num_key_value_heads": 2, "head_dim": 8},
    "deepseek_v2": {
        **SMALL,
        **WINDOW,
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
    "bert": {**SMALL, **WINDOW},
    "roberta": {**SMALL, "max_position_embeddings": 258, "pad_token_id": 4},
}

Build = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level BPE that has StarCoder's special tokens."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIALS[0], "pad_token": SPECIALS[4]}
        )
    )
    return folder


@pytest.fixture(scope="session")
def build_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Build:
    """`build_checkpoint("llama", hidden_size=64)`: the folder of a random model of that architecture."""
    import torch
    import transformers

    def build(architecture: str, *, seed: int = 0, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp(architecture) / f"tiny-{architecture}"
        values = {"vocab_size": 512, "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 4}
        config = transformers.AutoConfig.for_model(
            architecture, **{**values, **CONFIGS[architecture], **changes}
        )
        torch.manual_seed(seed)
        auto = {
            "t5": transformers.AutoModelForSeq2SeqLM,
            "bert": transformers.AutoModel,
            "roberta": transformers.AutoModel,
        }.get(architecture, transformers.AutoModelForCausalLM)
        model = auto.from_config(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1 and "embed" not in name:
                    parameter.mul_(5)
        model.save_pretrained(folder)
        for file in tiny_tokenizer.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        return folder

    return build


@pytest.fixture(scope="session")
def checkpoint(build_checkpoint: Build) -> Callable[[str], Path]:
    """The default tiny checkpoint of an architecture, shared by all tests: do not change it."""
    built: dict[str, Path] = {}

    def get(architecture: str) -> Path:
        if architecture not in built:
            built[architecture] = build_checkpoint(architecture)
        return built[architecture]

    return get
