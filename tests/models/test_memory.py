"""What a model takes and gives back, measured as resident memory in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MIB = 1024 * 1024

MEASURE = """
import asyncio, gc, json, resource, statistics, sys, time
import torch
from transformers import AutoModelForCausalLM
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models import memory
from codeface_lsp.models.loader import load
from codeface_lsp.models.manager import ModelManager
from codeface_lsp.models.registry import ModelEntry, Registry
from codeface_lsp.settings import EngineSettings, Settings

big, small = sys.argv[1:]
settings = Settings.model_validate({"engine": {"device": "cpu", "dtype": "float32", "memory_threshold": 1.0}})
entries = {"big": ModelEntry(name="big", model_name=big), "small": ModelEntry(name="small", model_name=small)}
manager = ModelManager(settings, models=Registry(entries, {}))
engine = Engine(settings.engine)
manager.on_unload = engine.forget


async def one_round(name, generates):
    model = await manager.acquire(name, "completion")
    if generates:
        request = GenerationRequest(prompt=list(range(5, 200)), max_tokens=8)
        assert [d async for d in engine.generate(model, request)]
    else:
        parts = [weight.flatten()[::1024].sum() for weight in model.model.parameters()]  # reads every page
        assert all(map(torch.isfinite, parts))
    taken = memory.resident_bytes()
    manager.release(model)
    while engine.stats().running:
        await asyncio.sleep(0.01)
    size = model.memory_bytes
    del model
    await manager.unload(name)
    return taken, memory.resident_bytes(), size


async def main():
    for _ in range(2):
        await one_round("small", True)
    figures = {}
    for kind, generates in (("plain", False), *[("engine", True)] * 4):  # what leaks does so every time
        before = memory.resident_bytes()
        taken, after, size = await one_round("big", generates)
        if kind not in figures or after - before < figures[kind]["after"] - figures[kind]["before"]:
            figures[kind] = {"before": before, "taken": taken, "after": after, "size": size}
    figures["rounds"] = [(await one_round("small", True))[1] for _ in range(20)]
    await engine.aclose()
    return figures


def timed(work):
    started = time.perf_counter()
    work()
    gc.collect()
    return time.perf_counter() - started


def ours():
    load(big, "completion", EngineSettings(device="cpu", dtype="float32"))


def plain():
    AutoModelForCausalLM.from_pretrained(big, dtype=torch.float32)


figures = asyncio.run(main())
pairs = [(timed(ours), timed(plain)) for _ in range(4)]
figures["ratio"] = min(a for a, _ in pairs) / min(b for _, b in pairs)
print(json.dumps(figures))
"""


@pytest.fixture(scope="module")
def figures(build_checkpoint: Callable[..., Path], checkpoint: Callable[[str], Path]) -> dict[str, Any]:
    """100M parameters, and a tiny model for the rounds."""
    big = build_checkpoint(
        "llama",
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=12,
        vocab_size=10_000,
    )
    command = [sys.executable, "-c", MEASURE, str(big), str(checkpoint("llama"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(answer)
    return answer


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_weights_are_in_memory_once(figures: dict[str, Any]) -> None:
    plain = figures["plain"]
    assert plain["size"] > 380 * MIB
    assert 0.9 * plain["size"] < plain["taken"] - plain["before"] < 1.1 * plain["size"]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["plain", "engine"])
def test_unloading_gives_back_what_the_model_took(figures: dict[str, Any], kind: str) -> None:
    """With the engine, that is the weights, their int8 copies, the KV cache and what was made ready."""
    measured = figures[kind]
    assert measured["after"] - measured["before"] <= 0.05 * measured["size"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_twenty_rounds_do_not_grow(figures: dict[str, Any]) -> None:
    rounds = figures["rounds"]
    assert max(rounds[10:]) - max(rounds[:10]) < 4 * MIB


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_load_takes_about_as_long_as_plain_from_pretrained(figures: dict[str, Any]) -> None:
    assert figures["ratio"] <= 1.3
