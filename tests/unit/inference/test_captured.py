"""The step over static keys and values against transformers' own pass; captured only where there is a CUDA device."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from codeface_lsp.inference import captured
from codeface_lsp.inference.captured import CapturedStep
from codeface_lsp.inference.kv import SequenceCache
from codeface_lsp.inference.runner import PlainRunner
from codeface_lsp.inference.runners import pick_runner
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.settings import EngineSettings

Build = Callable[..., LoadedModel]
CPU = torch.device("cpu")
ARCHITECTURES = ("llama", "gpt_bigcode", "starcoder2", "qwen2", "mistral")


def ids(length: int, seed: int = 0) -> list[int]:
    return [random.Random(seed).randrange(5, 500) for _ in range(length)]


class Sequence:
    """A sequence whose single tokens go through the step; its logits are checked against a pass over the whole."""

    def __init__(
        self, runner: PlainRunner, step: CapturedStep, model: LoadedModel, prompt: list[int]
    ) -> None:
        self.runner, self.step, self.model = runner, step, model
        self.tokens = list(prompt)
        self.cache: SequenceCache = runner.new_cache()
        runner.forward(prompt, self.cache)

    def decode(self, token: int) -> None:
        assert self.step.takes(self.cache)
        with torch.inference_mode():
            logits = self.step.forward(token, self.cache)
            self.tokens.append(token)
            expected = self.model.model(torch.tensor([self.tokens])).logits[0, -1:]
        assert logits is not None
        torch.testing.assert_close(logits, expected, atol=2e-4, rtol=2e-4)
        assert self.cache.length == len(self.tokens)

    def crop(self, length: int) -> None:
        self.cache.crop(length)
        del self.tokens[length:]

    def extend(self, tokens: list[int]) -> None:
        self.runner.forward(tokens, self.cache)
        self.tokens += tokens


def sequences(build: Build, architecture: str, count: int) -> list[Sequence]:
    model = build(architecture)
    runner = PlainRunner(model)
    step = CapturedStep(model.model, CPU, capture=False)
    return [Sequence(runner, step, model, ids(40 + 7 * number, number)) for number in range(count)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_step_computes_what_a_whole_pass_computes(architecture: str, build: Build) -> None:
    (sequence,) = sequences(build, architecture, 1)
    for token in ids(6, 9):
        sequence.decode(token)


@pytest.mark.parametrize("architecture", ["llama", "gpt_bigcode"])
def test_two_sequences_take_turns(architecture: str, build: Build) -> None:
    first, second = sequences(build, architecture, 2)
    for token in ids(4, 9):
        first.decode(token)
        second.decode(token + 1)


def test_what_changed_behind_the_arena_is_seen(build: Build) -> None:
    """As long as before, but other tokens: cropped, and filled up again by a pass over several."""
    (sequence,) = sequences(build, "llama", 1)
    sequence.decode(7)
    length = sequence.cache.length
    sequence.crop(length - 3)
    sequence.extend([401, 402, 403])
    assert sequence.cache.length == length
    sequence.decode(8)
    sequence.crop(10)
    sequence.decode(9)


def test_a_copy_of_a_decoding_sequence_has_all_its_tokens(build: Build) -> None:
    (sequence,) = sequences(build, "llama", 1)
    sequence.decode(7)
    sequence.cache = sequence.cache.copy(sequence.cache.length)
    sequence.decode(8)


def test_a_longer_sequence_gets_a_larger_arena(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured, "FIRST_CAPACITY", 42)
    (sequence,) = sequences(build, "llama", 1)
    for token in ids(6, 9):
        sequence.decode(token)


def test_what_would_not_fit_is_left_to_the_ordinary_pass(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sequence,) = sequences(build, "llama", 1)
    assert sequence.step.takes(sequence.cache)
    assert not sequence.step.takes(sequence.runner.new_cache()), "an empty cache has no slabs to mirror"
    monkeypatch.setattr(captured, "MOST_BYTES", 1000)
    assert not sequence.step.takes(sequence.cache)
    (recurrent,) = sequences(build, "lfm2", 1)
    assert not recurrent.step.takes(recurrent.cache)


def test_where_capturing_fails_decoding_goes_on_without(build: Build) -> None:
    """Here it fails for want of a CUDA device."""
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is present, on which capturing works")
    model = build("llama")
    runner = PlainRunner(model, captured=True)
    cache = runner.new_cache()
    prompt = ids(30)
    runner.forward(prompt, cache)
    logits = runner.forward([7], cache)
    with torch.inference_mode():
        expected = model.model(torch.tensor([[*prompt, 7]])).logits[0, -1:]
    torch.testing.assert_close(logits, expected, atol=2e-4, rtol=2e-4)
    assert cache.length == 31


def test_a_cpu_captures_nothing(build: Build) -> None:
    runner = pick_runner(build("gpt_bigcode"), EngineSettings(int8=False))
    assert isinstance(runner, PlainRunner)
    assert runner._step is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_graph_computes_what_the_ordinary_pass_computes(architecture: str, build: Build) -> None:
    device = torch.device("cuda:0")
    model = build(architecture)
    model = replace(model, model=model.model.to(device), device=device)
    runners = PlainRunner(model, captured=True), PlainRunner(model)
    caches = [runner.new_cache() for runner in runners]
    prompt = ids(50)
    for tokens in (prompt, [7], [8], [9, 10], [11]):
        ours, plain = (runner.forward(tokens, cache) for runner, cache in zip(runners, caches, strict=True))
        torch.testing.assert_close(ours, plain, atol=2e-3, rtol=2e-3)
    step = runners[0]._step
    assert step is not None
    assert step._arena is not None
    assert step._arena.graph is not None
