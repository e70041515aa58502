"""Tiny random models and tokenizers that the tests build."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from codeface_lsp.inference.engine import Engine
from codeface_lsp.models.tokenizer import CheckpointTokenizer
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.prompting.families import FAMILIES
from codeface_lsp.settings import EngineSettings
from tests.tiny_models import CORPUS, VOCABULARY, byte_level_bpe, random_model, specials

SPECIALS = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
CHANGES: dict[str, dict[str, Any]] = {"mistral": {"sliding_window": 16}}
Build = Callable[..., LoadedModel]


@pytest.fixture(scope="session")
def byte_level() -> CheckpointTokenizer:
    """A byte-level BPE like StarCoder's."""
    tokenizer = byte_level_bpe(SPECIALS)
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
        special_tokens=[*specials(SPECIALS), *(AddedToken(token, special=False) for token in fallback)],
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
        model = random_model(architecture, seed=seed, **(CHANGES.get(architecture, {}) | changes))
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
            encoder_decoder=bool(model.config.is_encoder_decoder),
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
