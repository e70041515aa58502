from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.types import GenerationRequest
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("architecture", ["llama", "gpt_bigcode", "starcoder2", "qwen2"])
async def test_a_cuda_device_generates_what_transformers_generates(
    architecture: str, build: Callable[..., LoadedModel]
) -> None:
    model = build(architecture)
    device = torch.device("cuda:0")
    model = replace(model, model=model.model.to(device), device=device)
    engine = Engine(EngineSettings(mixture=False))
    prompt = [random.Random(1).randrange(5, 500) for _ in range(60)]
    for asked in (prompt, prompt, prompt[:40], [*prompt[:40], 7, 8]):
        ids = torch.tensor([asked], device=device)
        output = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
        expected = output[0, len(asked) :].tolist()
        expected = expected[: expected.index(0)] if 0 in expected else expected
        request = GenerationRequest(prompt=asked, max_tokens=12)
        deltas = [delta async for delta in engine.generate(model, request)]
        assert [token.token_id for delta in deltas for token in delta.tokens] == expected
    await engine.aclose()
