"""Every way to run a model against transformers' own, and what an interrupted pass leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from codeface_lsp.inference import int8
from codeface_lsp.inference.fused import FusedRunner
from codeface_lsp.inference.interrupts import Interrupted
from codeface_lsp.inference.runner import PlainRunner, Runner
from codeface_lsp.inference.runners import pick_runner
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

Build = Callable[..., LoadedModel]
EXACT = EngineSettings(int8=False)
ARCHITECTURES = ("llama", "gpt_bigcode", "starcoder2", "qwen2", "mistral")


def ids(length: int, seed: int = 0) -> list[int]:
    return [random.Random(seed).randrange(5, 500) for _ in range(length)]


def logits_of(model: LoadedModel, tokens: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model.model(torch.tensor([tokens])).logits[0]
    return logits


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_fused_path_computes_what_transformers_computes(
    architecture: str, heads: int, build: Build
) -> None:
    model = build(architecture, num_key_value_heads=heads, tie_word_embeddings=heads == 2)
    tokens = ids(50)
    expected = logits_of(model, tokens)
    runner = pick_runner(model, EXACT)
    assert isinstance(runner, FusedRunner)
    cache = runner.new_cache()
    pieces = [
        runner.forward(tokens[start:end], cache, end - start) for start, end in ((0, 20), (20, 21), (21, 50))
    ]
    torch.testing.assert_close(torch.cat(pieces), expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_branches_of_a_tree_see_their_own_tokens_alone_and_one_of_them_can_be_kept(
    heads: int, build: Build
) -> None:
    model = build("llama", num_key_value_heads=heads)
    runner, tokens = pick_runner(model, EXACT), ids(30)
    assert isinstance(runner, FusedRunner)
    cache = runner.new_cache()
    runner.forward(tokens, cache)
    runner.branch([11, 12, 13], cache, 30, [(), (), ()])
    rows = runner.branch([21, 22], cache, 30, [(32,), (30,)])
    for row, path in zip(rows, ([13, 21], [11, 22]), strict=True):
        torch.testing.assert_close(row, logits_of(model, tokens + path)[-1], atol=2e-4, rtol=2e-4)
    cache.keep(30, (32, 33))
    torch.testing.assert_close(
        runner.forward([31], cache)[-1], logits_of(model, [*tokens, 13, 21, 31])[-1], atol=2e-4, rtol=2e-4
    )


def test_shapes_that_are_not_the_llama_shape_run_plainly(build: Build) -> None:
    for architecture, changes in (
        ("gpt_bigcode", {}),
        ("mistral", {"sliding_window": 16}),
        ("llama", {"hidden_act": "gelu"}),
    ):
        assert isinstance(pick_runner(build(architecture, **changes), EXACT), PlainRunner)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_an_interrupted_pass_rolls_back_and_goes_on(architecture: str, stop: int, build: Build) -> None:
    model = build(architecture)
    tokens = ids(60)
    expected = logits_of(model, tokens)[-1]
    runner = pick_runner(model, EXACT)
    cache = runner.new_cache()
    runner.forward(tokens[:30], cache)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Interrupted

    runner.check = check
    with pytest.raises(Interrupted):
        runner.forward(tokens[30:], cache)
    runner.check = None
    cache.crop(cache.length)
    assert cache.length == 30
    assert [layer.get_seq_length() for layer in cache.layers] == [30] * len(cache.layers)
    torch.testing.assert_close(runner.forward(tokens[30:], cache)[-1], expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pass_can_be_left_before_every_layer_and_every_mlp(architecture: str, build: Build) -> None:
    model = build(architecture)
    runner = pick_runner(model, EXACT)
    calls: list[int] = []
    runner.check = lambda: calls.append(1)
    runner.forward(ids(4), runner.new_cache())
    assert len(calls) >= 4


def greedy(runner: Runner, prompt: list[int], count: int) -> list[int]:
    cache = runner.new_cache()
    row = runner.forward(prompt, cache)[-1]
    answer = [int(row.argmax())]
    while len(answer) < count:
        answer.append(int(runner.forward(answer[-1:], cache)[-1].argmax()))
    return answer


@pytest.mark.skipif(
    not int8.works(), reason="this processor has no int8 product; the fall-back is tested below"
)
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_bigcode", "starcoder2"])
@pytest.mark.parametrize("rows", [1, 5, 40])
def test_int8_weights_stay_close_to_the_exact_ones(architecture: str, rows: int, build: Build) -> None:
    model, twin = build(architecture), build(architecture)
    tokens = ids(60)
    expected = logits_of(model, tokens)[-rows:]
    runner = pick_runner(twin, EngineSettings(int8=True))
    cache = runner.new_cache()
    if rows < 60:
        runner.forward(tokens[:-rows], cache)
    got = runner.forward(tokens[-rows:], cache, rows)
    agreement = torch.nn.functional.cosine_similarity(got, expected, dim=-1)
    assert agreement.min() > 0.98
    through_modules = logits_of(twin, tokens)[-rows:]
    assert torch.nn.functional.cosine_similarity(through_modules, expected, dim=-1).min() > 0.98


def test_without_the_op_the_weights_stay_as_they_are(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise RuntimeError("not for this processor")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", missing)
    int8.works.cache_clear()
    try:
        model = build("llama")
        runner = pick_runner(model, EngineSettings(int8=True))
        assert type(model.model.lm_head) is torch.nn.Linear
        assert greedy(runner, ids(20), 5) == greedy(pick_runner(build("llama"), EXACT), ids(20), 5)
    finally:
        int8.works.cache_clear()


def test_int8_gives_the_memory_of_the_weights_back(build: Build) -> None:
    if not int8.works():
        pytest.skip("this processor has no int8 product")
    model = build("llama")
    pick_runner(model, EngineSettings(int8=True))
    linear = [m for m in model.model.modules() if isinstance(m, torch.nn.Linear)]
    assert not linear
