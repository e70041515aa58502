"""Tiny random checkpoints of every architecture, built once per session and saved as real Hugging Face folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import byte_level_bpe, random_model

CONTEXT = 256
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
Build = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level BPE that has StarCoder's special tokens."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = byte_level_bpe(SPECIALS, 500)
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

    def build(architecture: str, *, seed: int = 0, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp(architecture) / f"tiny-{architecture}"
        model = random_model(architecture, seed=seed, context=CONTEXT, **changes)
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
