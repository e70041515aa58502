from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.places import BUNDLED_MODEL
from training.sources import HELD_OUT, TUNING, is_permissive
from training.tokenizer import SPECIAL_TOKENS

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def sources() -> list[dict[str, object]]:
    return list(json.loads((BUNDLED_MODEL / "sources.json").read_text(encoding="utf-8")))


def test_the_weights_are_small_and_load_as_any_others() -> None:
    shards = list(BUNDLED_MODEL.glob("*.safetensors"))
    assert max(shard.stat().st_size for shard in shards) <= 15 * MEGABYTE
    assert sum(shard.stat().st_size for shard in shards) <= 32 * MEGABYTE
    model = AutoModelForCausalLM.from_pretrained(BUNDLED_MODEL, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(BUNDLED_MODEL)
    told = json.loads((BUNDLED_MODEL / "training.json").read_text(encoding="utf-8"))
    assert model.num_parameters() == told["parameters"]
    ids = words("import os\nfor name in os.listdir(path):\n    print(", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        loss = model(ids, labels=ids).loss
    assert loss < 5, "far better than guessing among 8,192 tokens (9.0 nats)"


def test_its_special_tokens_are_the_agreed_ones() -> None:
    words = Tokenizer.from_file(str(BUNDLED_MODEL / "tokenizer.json"))
    assert [words.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(len(SPECIAL_TOKENS)))


def test_what_it_read_was_permissively_licensed(sources: list[dict[str, object]]) -> None:
    assert len(sources) > 50
    assert all(is_permissive(str(source["licence"])) for source in sources)


def test_it_never_read_the_held_out_packages(sources: list[dict[str, object]]) -> None:
    splits = {str(source["name"]): source["split"] for source in sources}
    assert {name: splits[name] for name in (*HELD_OUT, *TUNING)} == (
        dict.fromkeys(HELD_OUT, "held-out") | dict.fromkeys(TUNING, "tuning")
    )
