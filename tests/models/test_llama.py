"""Checkpoints of the Llama shape are read without transformers, and say what transformers' own model says."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from codeface_lsp.inference import batch
from codeface_lsp.inference.runners import pick_runner
from codeface_lsp.models.llama import Llama
from codeface_lsp.models.loader import LoadOptions, load
from codeface_lsp.settings import EngineSettings
from tests.models.conftest import Build

EXACT = EngineSettings(device="cpu", dtype="float32", int8=False)
BUNDLED = Path(__file__).parents[2] / "bundled" / "codeface-tiny"
TOKENS = [random.Random(1).randrange(8, 500) for _ in range(40)]
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    (
        "llama",
        {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}},
    ),
    ("llama", {"attention_bias": True, "mlp_bias": True, "head_dim": 16, "rms_norm_eps": 1e-3}),
    ("llama", {"num_key_value_heads": 4}),
    ("qwen2", {"use_sliding_window": False}),
    ("mistral", {"sliding_window": None, "head_dim": 16}),
]


def logits(model: Any, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        rows: torch.Tensor = model(torch.tensor([tokens])).logits[0].float()
    return rows


@pytest.mark.parametrize(("architecture", "changes"), SHAPES)
def test_it_computes_what_transformers_computes(
    architecture: str, changes: dict[str, Any], build_checkpoint: Build
) -> None:
    folder = build_checkpoint(architecture, **changes)
    expected = logits(transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), TOKENS)
    model = load(folder, "completion", EXACT)
    assert isinstance(model.model, Llama)
    runner = pick_runner(model, EXACT)
    got = runner.forward(TOKENS, runner.new_cache(), len(TOKENS))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits(batch.whole(model).model, TOKENS), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("architecture", "changes", "options"),
    [
        ("llama", {"hidden_act": "gelu"}, {}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, {}),
        ("mistral", {"sliding_window": 16}, {}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 0}, {}),
        ("starcoder2", {}, {}),
        ("llama", {}, {"attention": "eager"}),
    ],
)
def test_what_has_another_shape_is_left_to_transformers(
    architecture: str, changes: dict[str, Any], options: dict[str, Any], build_checkpoint: Build
) -> None:
    model = load(build_checkpoint(architecture, **changes), "completion", EXACT, LoadOptions(**options))
    assert isinstance(model.model, transformers.PreTrainedModel)


def test_the_bundled_model_is_the_one_that_transformers_reads() -> None:
    expected = transformers.AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32)
    model = load(BUNDLED, "completion", EXACT)
    assert isinstance(model.model, Llama)
    theirs = expected.state_dict()
    ours = model.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    runner = pick_runner(model, EXACT)
    got = runner.forward(TOKENS, runner.new_cache(), len(TOKENS))
    torch.testing.assert_close(got, logits(expected, TOKENS), atol=1e-3, rtol=1e-3)


def test_after_int8_the_whole_model_shares_the_packed_weights(build_checkpoint: Build) -> None:
    settings = EngineSettings(device="cpu", dtype="float32", int8=True)
    model = load(build_checkpoint("llama"), "completion", settings)
    runner = pick_runner(model, settings)
    whole = batch.whole(model)
    assert whole.model is batch.whole(model).model
    got = logits(whole.model, TOKENS)
    fused = runner.forward(TOKENS, runner.new_cache(), len(TOKENS))
    assert torch.nn.functional.cosine_similarity(got, fused, dim=-1).min() > 0.98
    assert whole.model.lm_head is model.model.lm_head


def test_generating_with_the_bundled_model_never_imports_transformers() -> None:
    script = """
import asyncio, sys
from pathlib import Path
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models.manager import ModelManager
from codeface_lsp.settings import Settings

async def main():
    settings = Settings()
    manager, engine = ModelManager(settings), Engine(settings.engine)
    model = await manager.acquire(sys.argv[1], "completion")
    said = [delta async for delta in engine.generate(model, GenerationRequest([5, 6, 7], max_tokens=3))]
    assert said[-1].finish_reason is not None
    manager.release(model)
    await manager.aclose()
    await engine.aclose()

asyncio.run(main())
print(sorted(name for name in sys.modules if name.split(".")[0] in ("transformers", "accelerate")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(BUNDLED)], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
