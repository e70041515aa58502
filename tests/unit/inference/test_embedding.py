from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from codeface_lsp.errors import InvalidRequest
from codeface_lsp.inference.engine import Engine
from codeface_lsp.models.types import LoadedModel

TEXTS = ["def add(first, second):", "x", "for index in range(10):\n    print(index)", "", "naïve 東京 🙂"]


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
async def test_texts_in_batches_get_the_mean_of_their_own_states(
    architecture: str, engine: Engine, build: Callable[..., LoadedModel]
) -> None:
    model = build(architecture, role="embedding")
    vectors, tokens = await engine.embed(model, TEXTS)
    ids = [model.tokenizer.encode(text) or [0] for text in TEXTS]
    assert tokens == sum(map(len, ids))
    for vector, text in zip(vectors, ids, strict=True):
        mean = model.model(torch.tensor([text])).last_hidden_state[0].mean(0)
        expected = mean / mean.norm()
        assert vector == pytest.approx(expected.tolist(), abs=1e-5)
        assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-5)


async def test_a_model_that_writes_text_is_refused(
    engine: Engine, model: Callable[[str], LoadedModel]
) -> None:
    with pytest.raises(InvalidRequest, match="embedding"):
        await engine.embed(model("llama"), TEXTS)
