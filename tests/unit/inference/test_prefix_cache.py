from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.inference.kv import SequenceCache, SlabLayer
from codeface_lsp.inference.prefix_cache import Entry, PrefixCache


def empty() -> SequenceCache:
    return SequenceCache([SlabLayer(), SlabLayer()], croppable=True)


def fill(entry: Entry, tokens: list[int]) -> None:
    """Make the cache hold the tokens themselves as keys, so that a wrong reuse shows."""
    new = tokens[len(entry.tokens) :]
    if new:
        states = torch.tensor(new, dtype=torch.float32).view(1, 1, -1, 1).expand(1, 2, -1, 4)
        for layer in entry.cache.layers:
            layer.update(states, states + 1000)
        entry.cache.advanced(len(new))
        entry.tokens += new
    entry.prompt_length = len(tokens)
    entry.prompt_logits = torch.tensor(float(len(tokens)))


def held(entry: Entry) -> list[int]:
    for layer in entry.cache.layers:
        assert layer.get_seq_length() == len(entry.tokens)
        if entry.tokens:
            assert torch.equal(layer.values[:, :, : layer.length], layer.keys[:, :, : layer.length] + 1000)
    layer = entry.cache.layers[0]
    return [int(key) for key in layer.keys[0, 0, : layer.length, 0]] if entry.tokens else []


def finished(cache: PrefixCache, tokens: list[int], model: int = 0) -> Entry:
    entry = cache.take(model, tokens, empty())
    fill(entry, tokens)
    cache.give_back(entry)
    return entry


@given(st.lists(st.tuples(st.lists(st.integers(1, 3), min_size=1, max_size=12), st.booleans()), max_size=12))
def test_whatever_is_reused_is_a_prefix_of_what_was_asked(requests: list[tuple[list[int], bool]]) -> None:
    cache, running = PrefixCache(1 << 30), list[tuple[Entry, list[int]]]()
    for prompt, ends in requests:
        entry = cache.take(0, prompt, empty())
        assert held(entry) == entry.tokens == prompt[: len(entry.tokens)]
        assert len(entry.tokens) < len(prompt) or float(entry.prompt_logits or -1) == len(prompt)
        fill(entry, prompt)
        for other, tokens in running:
            assert held(other) == tokens
        if ends:
            cache.give_back(entry)
        else:
            running.append((entry, list(prompt)))


def test_the_longest_prefix_is_taken() -> None:
    cache = PrefixCache(1 << 30)
    finished(cache, [1, 2, 3, 4, 5, 6, 7, 8])
    finished(cache, [9, 9, 9, 9, 9, 9, 9, 9])
    assert len(cache.take(0, [1, 2, 3, 4, 5, 6, 7, 9], empty()).tokens) == 7


def test_models_share_nothing() -> None:
    cache = PrefixCache(1 << 30)
    finished(cache, [1, 2, 3, 4, 5, 6], model=1)
    assert cache.take(0, [1, 2, 3, 4, 5, 6], empty()).tokens == []


def test_a_running_sequence_is_copied_and_never_cropped() -> None:
    cache = PrefixCache(1 << 30)
    running = cache.take(0, [1, 2, 3, 4, 5, 6], empty())
    fill(running, [1, 2, 3, 4, 5, 6])
    other = cache.take(0, [1, 2, 3, 4, 9], empty())
    assert other is not running
    assert held(other) == [1, 2, 3, 4]
    assert held(running) == [1, 2, 3, 4, 5, 6]


def test_a_long_sequence_is_not_given_away_for_a_short_common_prefix() -> None:
    cache = PrefixCache(1 << 30)
    long = list(range(100))
    finished(cache, long)
    cache.give_back(cache.take(0, [*long[:10], 7], empty()))
    assert len(cache.take(0, [*long, 7], empty()).tokens) == 100


def test_the_bound_in_bytes_holds_and_the_least_recently_used_goes() -> None:
    one = finished(PrefixCache(1 << 30), [1] * 10).cache.nbytes
    cache = PrefixCache(3 * one)
    for first in (1, 2, 3):
        finished(cache, [first] * 10)
    cache.give_back(cache.take(0, [1] * 11, empty()))
    finished(cache, [4] * 10)
    assert cache.nbytes <= 3 * one
    assert len(cache.take(0, [1] * 11, empty()).tokens) == 10
    assert cache.take(0, [2] * 11, empty()).tokens == []


def test_forgetting_a_model_frees_its_sequences() -> None:
    cache = PrefixCache(1 << 30)
    finished(cache, [1, 2, 3, 4, 5], model=1)
    finished(cache, [1, 2, 3, 4, 5], model=2)
    cache.forget(1)
    assert cache.stats.entries == 1


def test_slabs_grow_in_steps_and_keep_what_they_hold() -> None:
    cache = empty()
    sizes = set()
    for at in range(2000):
        states = torch.full((1, 2, 1, 4), float(at))
        cache.layers[0].update(states, states)
        sizes.add(cache.layers[0].keys.shape[-2])
    assert len(sizes) < 10
    assert cache.layers[0].keys[0, 1, :2000, 3].tolist() == list(range(2000))


def test_a_running_sequence_of_a_forgotten_model_goes_when_it_ends() -> None:
    cache = PrefixCache(1 << 30)
    running = cache.take(1, [1, 2, 3, 4, 5], empty())
    fill(running, [1, 2, 3, 4, 5])
    cache.forget(1)
    assert cache.stats.entries == 1
    cache.give_back(running)
    assert cache.stats.entries == 0
