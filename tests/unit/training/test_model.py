from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from training.export import to_hugging_face
from training.model import SHAPES, Shape, TinyLlama, attend_in_blocks
from training.optimizer import build, orthogonalize

TINY = Shape(hidden=32, layers=2, heads=4, kv_heads=2, feed_forward=48, vocabulary=64, context=64)


def test_it_computes_what_llama_computes() -> None:
    torch.manual_seed(0)
    model = TinyLlama(TINY)
    ids = torch.randint(0, TINY.vocabulary, (2, 40))
    with torch.no_grad():
        ours = model(ids)
        theirs = to_hugging_face(model.state_dict(), TINY)(ids).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 40, 128, 300])
def test_attention_in_blocks_is_causal_attention(length: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, length, 8, requires_grad=True) for _ in range(3))
    ours = attend_in_blocks(q, k, v, size=128)
    theirs = scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(ours, theirs)
    direction = torch.randn_like(ours)
    for mine, right in zip(
        torch.autograd.grad(ours, (q, k, v), direction),
        torch.autograd.grad(theirs, (q, k, v), direction),
        strict=True,
    ):
        torch.testing.assert_close(mine, right)


def test_weights_that_do_not_fit_are_refused() -> None:
    weights = TinyLlama(TINY).state_dict()
    weights.pop("model.norm.weight")
    with pytest.raises(ValueError, match="do not fit"):
        to_hugging_face(weights, TINY)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("6m", 6, 8), ("15m", 13, 18), ("30m", 26, 34), ("60m", 52, 68)]
)
def test_sizes_are_what_their_names_say(name: str, low: int, high: int) -> None:
    with torch.device("meta"):
        millions = sum(p.numel() for p in TinyLlama(SHAPES[name]).parameters()) / 1e6
    assert low <= millions <= high


@pytest.mark.parametrize("shape", [(24, 16), (16, 24), (16, 16)])
def test_orthogonalized_matrices_turn_without_stretching_much(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    stretched = torch.linalg.svdvals(orthogonalize(torch.randn(3, *shape)).float())
    assert stretched.min() > 0.3
    assert stretched.max() < 1.4


def test_a_few_steps_learn_a_short_text_by_heart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = TinyLlama(TINY)
    optimizers = build(model)
    ids = torch.randint(0, TINY.vocabulary, (1, 33))
    losses = []
    for _ in range(60):
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad()
        losses.append(loss.item())
    assert losses[0] > 3.5
    assert losses[-1] < 0.2
