"""Tiny random models and tokenizers that the tests build."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from codeface_lsp.inference.engine import Engine
from codeface_lsp.models.tokenizer import CheckpointTokenizer
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.settings import EngineSettings

CORPUS = [
    "def add(first, second):\n    return first + second\n\n\nclass Point:\n    def __init__(self, x, y):\n",
    "        self.x = x\n        self.y = y\n\nfor index in range(10):\n    print(index, 'naïve – 東京 🙂')\n",
    "import os\nfrom pathlib import Path\n\nif __name__ == '__main__':\n    return self.main()\n",
]
SPECIALS = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
LONG = {"max_position_embeddings": 512}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, **LONG, "num_key_value_heads": 2},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "starcoder2": {**SMALL, **LONG, "num_key_value_heads": 2},
    "qwen2": {**SMALL, **LONG, "num_key_value_heads": 2},
    "mistral": {**SMALL, **LONG, "num_key_value_heads": 2, "sliding_window": 16},
    "lfm2": {**SMALL, **LONG, "num_key_value_heads": 2, "layer_types": ["conv", "full_attention"]},
    "t5": {
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "decoder_start_token_id": 0,
    },
    "bert": {**SMALL, **LONG},
    "roberta": {**SMALL, "max_position_embeddings": 514, "pad_token_id": 4},
}
VOCABULARY = 512

Build = Callable[..., LoadedModel]


def _specials() -> list[AddedToken]:
    return [AddedToken(token, special=True, normalized=False) for token in SPECIALS]


@pytest.fixture(scope="session")
def byte_level() -> CheckpointTokenizer:
    """A byte-level BPE like StarCoder's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_specials(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return CheckpointTokenizer(json.loads(tokenizer.to_str()), eos_ids=frozenset({0}))


@pytest.fixture(scope="session")
def sentencepiece() -> CheckpointTokenizer:
    """A BPE with SentencePiece's blanks and byte fall-back, like CodeLlama's."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token=None, byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*_specials(), *(AddedToken(token, special=False) for token in fallback)],
        show_progress=False,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.train_from_iterator(CORPUS, trainer)
    spec = json.loads(tokenizer.to_str())
    spec["pre_tokenizer"] = None
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["special"]]
    return CheckpointTokenizer(spec, eos_ids=frozenset({0}))


@pytest.fixture(scope="session")
def build(byte_level: CheckpointTokenizer) -> Build:
    """`build("llama", hidden_size=64)`: a random model of that architecture, ready for the engine."""

    def make(architecture: str, *, seed: int = 0, role: Any = "completion", **changes: Any) -> LoadedModel:
        values = {"vocab_size": VOCABULARY, "eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 4}
        config = transformers.AutoConfig.for_model(
            architecture, **{**values, **CONFIGS[architecture], **changes}
        )
        torch.manual_seed(seed)
        auto = {
            "t5": transformers.AutoModelForSeq2SeqLM,
            "bert": transformers.AutoModel,
            "roberta": transformers.AutoModel,
        }.get(architecture, transformers.AutoModelForCausalLM)
        model = auto.from_config(config).eval().requires_grad_(False)
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name and "wte" not in name:
                parameter.mul_(5)
        return LoadedModel(
            name=f"tiny-{architecture}",
            source="tests",
            role=role,
            model=model,
            tokenizer=byte_level,
            family=FAMILIES["starcoder"],
            context_length=512,
            device=torch.device("cpu"),
            dtype=torch.float32,
            parameters=sum(p.numel() for p in model.parameters()),
            encoder_decoder=bool(config.is_encoder_decoder),
        )

    return make


@pytest.fixture(scope="session")
def model(build: Build) -> Callable[[str], LoadedModel]:
    """The default tiny model of an architecture, shared by all tests."""
    built: dict[str, LoadedModel] = {}

    def get(architecture: str) -> LoadedModel:
        if architecture not in built:
            built[architecture] = build(architecture)
        return built[architecture]

    return get


@pytest.fixture
def settings() -> EngineSettings:
    """One thread, no approximations."""
    return EngineSettings(threads=1, int8=False, mixture=False, device="cpu")


@pytest.fixture
def engine(settings: EngineSettings) -> Iterator[Engine]:
    """An engine that is closed after the test."""
    made = Engine(settings)
    yield made
    made.close()


async def collect(deltas: AsyncIterator[Any]) -> list[Any]:
    """All deltas of a generation."""
    return [delta async for delta in deltas]
