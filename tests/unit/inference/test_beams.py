"""The first line by beam search: the most probable one, and what is left behind when the search ends early."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codeface_lsp.inference import beams
from codeface_lsp.inference.beams import LineSearch, Row
from codeface_lsp.inference.engine import Engine
from codeface_lsp.inference.healing import Constraint
from codeface_lsp.inference.runner import Runner
from codeface_lsp.inference.types import Delta, GenerationRequest, Sampling
from codeface_lsp.models.loader import load
from codeface_lsp.models.types import LoadedModel
from codeface_lsp.paths import shipped
from codeface_lsp.settings import EngineSettings

Model = Callable[[str], LoadedModel]
WORDS = (b"", b"a", b"b", b"ab", b"ba", b"\n")
END = 0


class Words:
    """Six tokens."""

    vocab_size = len(WORDS)
    eos_ids = frozenset({END})

    def token_bytes(self, token: int) -> bytes:
        return WORDS[token]


def row_after(tokens: tuple[int, ...], seed: int) -> Row:
    logits = np.random.default_rng([seed, *tokens]).normal(0, 2, len(WORDS))
    row: Row = (logits - np.log(np.exp(logits).sum())).astype(np.float32)
    return row


def searched(width: int, typed: bytes, most: int, seed: int, *, blank: bool = True) -> LineSearch:
    words: Any = Words()
    search = LineSearch(width, words, words.eos_ids, Constraint(words, typed), blank=blank)
    for depth in range(most):
        if depth:
            search.placed(10 * depth)
        search.grow([beam.log_probabilities(row_after(tuple(beam.ids), seed), 0.0) for beam in search.live])
        if search.found() is not None or not search.live:
            break
    return search


def every_line(typed: bytes, most: int, seed: int) -> dict[tuple[int, ...], float]:
    """Log-probabilities of all whole lines of at most so many tokens that begin with what was typed."""
    lines: dict[tuple[int, ...], float] = {}
    for length in range(1, most + 1):
        for tokens in itertools.product(range(len(WORDS)), repeat=length):
            spelled = b"".join(WORDS[token] for token in tokens)
            inner = tokens[:-1]
            if END in inner or b"\n" in b"".join(WORDS[token] for token in inner):
                continue
            if tokens[-1] not in (END, 5) or not spelled.startswith(typed):
                continue
            lines[tokens] = math.fsum(
                float(row_after(tokens[:at], seed)[token]) for at, token in enumerate(tokens)
            )
    return lines


@pytest.mark.parametrize("typed", [b"", b"a", b"abba"])
@pytest.mark.parametrize("seed", range(10))
def test_a_search_wide_enough_finds_the_most_probable_of_all_lines(typed: bytes, seed: int) -> None:
    lines = every_line(typed, 5, seed)
    empty = {tokens for tokens in lines if b"".join(WORDS[token] for token in tokens).strip() == typed}
    best = max(lines.keys() - empty, key=lambda tokens: lines[tokens])
    found = searched(2000, typed, 5, seed).found()
    if found is not None and tuple(found.ids) in empty:
        assert lines[tuple(found.ids)] > lines[best]
        return
    if found is None:  # a longer line may be more probable still
        assert any(beam.score > lines[best] for beam in searched(2000, typed, 5, seed).live)
        return
    assert tuple(found.ids) == best
    assert found.score == pytest.approx(lines[best], abs=1e-4)


def test_a_line_without_text_counts_only_where_the_line_break_ends_the_answer() -> None:
    found = [searched(4, b"", 5, seed, blank=blank).found() for seed in range(40) for blank in (True, False)]
    lines = [b"".join(WORDS[token] for token in beam.ids) for beam in found if beam is not None]
    assert b"\n" in lines
    whole = [searched(4, b"", 6, seed, blank=False).found() for seed in range(40)]
    for beam in filter(None, whole):
        line = b"".join(WORDS[token] for token in beam.ids)
        assert line.strip() or beam.ids[-1] == END
    assert any(
        b"".join(WORDS[token] for token in beam.ids).startswith(b"\n") for beam in whole if beam is not None
    )


def test_an_end_before_any_text_is_the_answer_only_where_it_is_the_likeliest_token() -> None:
    empty = 0
    for seed in range(60):
        found, row = searched(4, b"", 6, seed).found(), row_after((), seed)
        if found is not None and found.ids[0] in (END, 5):
            assert int(row.argmax()) == found.ids[0]
            empty += 1
    assert 0 < empty < 60


@pytest.mark.parametrize("seed", range(5))
def test_each_beam_knows_where_the_cache_holds_its_tokens(seed: int) -> None:
    for beam in searched(4, b"", 4, seed).live:
        assert len(beam.places) == len(beam.tokens) - 1
        assert [place // 10 for place in beam.places] == list(range(1, len(beam.tokens)))


def test_where_no_token_agrees_with_what_was_typed_nothing_is_found() -> None:
    search = searched(4, b"x", 3, 0)
    assert (search.found(), search.best(), search.live) == (None, None, [])


def test_the_logarithms_that_are_told_count_only_what_the_constraint_allows() -> None:
    search = searched(4, b"ab", 1, 3)
    told = math.fsum(math.exp(beam.tokens[0].logprob) for beam in search.live)
    assert told == pytest.approx(1.0, abs=1e-5)
    assert all(beam.score < beam.tokens[0].logprob for beam in search.live)


def ids(length: int, seed: int = 0) -> list[int]:
    return [random.Random(seed).randrange(5, 500) for _ in range(length)]


async def deltas_of(engine: Engine, model: LoadedModel, prompt: list[int], **fields: Any) -> list[Delta]:
    request = GenerationRequest(prompt=prompt, **{"max_tokens": 12, "search_line": True, **fields})
    return [delta async for delta in engine.generate(model, request)]


def said(deltas: list[Delta]) -> list[int]:
    return [token.token_id for delta in deltas for token in delta.tokens]


def log_probability(runner: Runner, prompt: list[int], answer: list[int]) -> float:
    rows = runner.forward(prompt + answer, runner.new_cache(), len(answer) + 1).log_softmax(-1)
    return math.fsum(float(row[token]) for row, token in zip(rows, answer, strict=False))


@pytest.fixture
def searching() -> Any:
    engine = Engine(EngineSettings(threads=1, int8=False, mixture=False, device="cpu", beams=4))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    """The model that comes with CodeFace, which knows what a line is."""
    return load(
        shipped("bundled") / "codeface-tiny", "completion", EngineSettings(device="cpu", dtype="float32")
    )


def cuts(model: LoadedModel) -> list[list[int]]:
    """Prompts that end anywhere in lines of code."""
    source = Path(beams.__file__).read_text(encoding="utf-8")
    code = source[source.index("class LineSearch") :]
    return [model.tokenizer.encode(code[:at]) for at in range(150, len(code), 290)]


async def test_the_line_is_nearly_always_as_probable_as_the_greedy_one_or_more(
    searching: Engine, tiny: LoadedModel
) -> None:
    gained: list[float] = []
    runner = searching.prepare(tiny).runner
    for prompt in cuts(tiny):
        line = await deltas_of(searching, tiny, prompt, stop=("\n",), max_tokens=40)
        greedy = await deltas_of(searching, tiny, prompt, stop=("\n",), max_tokens=40, search_line=False)
        told = math.fsum(token.logprob for delta in line for token in delta.tokens)
        assert told == pytest.approx(log_probability(runner, prompt, said(line)), abs=1e-2)
        if {line[-1].finish_reason, greedy[-1].finish_reason} == {"stop"}:
            gained.append(told - log_probability(runner, prompt, said(greedy)))
    assert sum(gain > 0.01 for gain in gained) > 3 * sum(gain < -0.01 for gain in gained)


async def test_the_lines_behind_are_greedy_and_the_next_request_finds_all_in_the_cache(
    searching: Engine, engine: Engine, tiny: LoadedModel
) -> None:
    for prompt in cuts(tiny)[::3]:
        answer = said(await deltas_of(searching, tiny, prompt, max_tokens=40))
        first = next(at for at, token in enumerate(answer) if b"\n" in tiny.tokenizer.token_bytes(token))
        line, rest = answer[: first + 1], answer[first + 1 :]
        behind = await deltas_of(engine, tiny, prompt + line, max_tokens=len(rest), search_line=False)
        assert said(behind) == rest
        further = prompt + answer + ids(3)
        warm, cold = [await deltas_of(one, tiny, further, search_line=False) for one in (searching, engine)]
        assert said(warm) == said(cold)
        usage = warm[-1].usage
        assert usage is not None
        assert usage.cached_tokens >= len(prompt) + len(answer) - 1


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": Sampling(temperature=1.0, seed=1)},
        {"sampling": Sampling(repetition_penalty=1.3)},
        {"top_logprobs": 2},
        {"search_line": False},
    ],
)
async def test_only_plain_greedy_requests_that_ask_for_it_are_searched(
    fields: dict[str, Any], searching: Engine, model: Model
) -> None:
    state = searching.prepare(model("llama"))
    request = GenerationRequest(prompt=[5], max_tokens=4, search_line=True)
    assert state.beams(request) == 4
    assert state.beams(replace(request, **fields)) == 1


async def test_other_shapes_decode_greedily(searching: Engine, model: Model) -> None:
    plain = await deltas_of(searching, model("starcoder2"), ids(30), search_line=False)
    assert said(await deltas_of(searching, model("starcoder2"), ids(30))) == said(plain)


async def test_when_half_the_time_is_over_the_best_beginning_is_told_and_goes_on_greedily(
    model: Model,
) -> None:
    now = itertools.count()
    engine = Engine(
        EngineSettings(threads=1, int8=False, mixture=False, device="cpu", beams=3), clock=lambda: next(now)
    )
    deltas = await deltas_of(engine, model("llama"), ids(30), max_tokens=100, time_budget_s=100)
    assert deltas[-1].finish_reason == "time"
    answer = said(deltas)
    assert 5 < len(answer) < 60
    rest = await deltas_of(engine, model("llama"), ids(30) + answer[:-4], max_tokens=4, search_line=False)
    await engine.aclose()
    assert said(rest) == answer[-4:]


async def test_a_search_that_is_cancelled_leaves_a_cache_that_is_right(
    searching: Engine, model: Model
) -> None:
    loaded, prompt = model("llama"), ids(60)
    expected = said(await deltas_of(searching, loaded, prompt))
    for steps in range(5):
        task = asyncio.create_task(deltas_of(searching, loaded, prompt, max_tokens=400))
        await asyncio.sleep(0.002 * steps)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert said(await deltas_of(searching, loaded, prompt)) == expected
