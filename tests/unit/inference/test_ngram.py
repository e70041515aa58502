from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.token_index import LONGEST_MATCH, MOST_OCCURRENCES

VOCABULARY = 12
tokens = st.lists(st.integers(0, VOCABULARY - 1), max_size=40)
parts = st.lists(tokens, min_size=1, max_size=3)


def uniform() -> np.ndarray:
    return np.full(VOCABULARY, 1 / VOCABULARY, np.float32)


def followers_of(texts: list[list[int]], end: list[int]) -> Counter[int]:
    size = len(end)
    runs = ((text[at : at + size], text[at + size]) for text in texts for at in range(len(text) - size))
    return Counter(following for run, following in runs if run == end)


def by_hand(
    document: list[list[int]],
    neighbours: list[list[int]],
    context: list[int],
    weights: list[float],
    neighbour_weights: list[float],
) -> np.ndarray:
    """The mixture as its definition reads, from the shortest match to the longest."""
    mixed = uniform().astype(np.float64)
    for length in range(1, len(context) + 1):
        for texts, most in ((neighbours, neighbour_weights), (document, weights)):
            followers = followers_of(texts, context[-length:])
            count = sum(followers.values())
            if count and length <= len(most):
                weight = most[length - 1] * count / (count + len(followers))
                mixed *= 1 - weight
                for token, seen in followers.items():
                    mixed[token] += weight * seen / count
    return mixed


weights = st.lists(st.floats(0, 0.99), max_size=LONGEST_MATCH)


@given(parts, parts, tokens, weights, weights)
def test_the_mixture_is_what_its_definition_says(
    document: list[list[int]],
    neighbours: list[list[int]],
    context: list[int],
    weights: list[float],
    neighbour_weights: list[float],
) -> None:
    index = NgramIndex(weights, neighbour_weights)
    index.set_document(
        {f"part {number}": text for number, text in enumerate(document)},
        {f"neighbour {number}": text for number, text in enumerate(neighbours)},
    )
    mixed = index.mix(context, uniform())
    np.testing.assert_allclose(
        mixed, by_hand(document, neighbours, context, weights, neighbour_weights), atol=1e-5
    )
    assert mixed.sum() == pytest.approx(1.0, abs=1e-4)


@given(parts, tokens, st.lists(st.floats(-20, 20, width=32), min_size=VOCABULARY, max_size=VOCABULARY))
def test_mixing_logits_equals_mixing_probabilities(
    document: list[list[int]], context: list[int], logits: list[float]
) -> None:
    def softmax(values: np.ndarray) -> np.ndarray:
        shifted = np.exp(values - values.max())
        return np.asarray(shifted / shifted.sum(), np.float32)

    index = NgramIndex()
    index.set_document({str(number): text for number, text in enumerate(document)})
    given = np.array(logits, np.float32)
    before = given.copy()
    mixed, total = index.mix_logits(context, given)
    np.testing.assert_allclose(softmax(mixed), index.mix(context, softmax(given)), atol=1e-5)
    assert total is None or total == pytest.approx(np.logaddexp.reduce(mixed.astype(np.float64)), abs=1e-4)
    assert (total is None) == (mixed is given)
    assert np.array_equal(given, before), "the model's own logits stay as they are"


def test_ids_that_the_model_does_not_know_are_left_out() -> None:
    index = NgramIndex()
    index.update("file", [1, 2, VOCABULARY + 5, 1, 2, 3])
    assert index.mix([1, 2], uniform())[3] > 1 / VOCABULARY
    mixed, total = index.mix_logits([1, 2], uniform())
    assert mixed[3] > 1 / VOCABULARY
    assert total == pytest.approx(np.logaddexp.reduce(mixed), abs=1e-5)


@given(st.lists(st.tuples(st.sampled_from("abc"), tokens), max_size=6), tokens)
def test_updating_part_by_part_equals_building_anew(
    changes: list[tuple[str, list[int]]], context: list[int]
) -> None:
    updated = NgramIndex()
    for name, text in changes:
        updated.update(name, text)
    anew = NgramIndex()
    anew.set_document(dict(changes))
    np.testing.assert_allclose(updated.mix(context, uniform()), anew.mix(context, uniform()), atol=1e-6)


def test_a_longer_match_counts_more() -> None:
    index = NgramIndex()
    index.set_document({"file": [1, 2, 3, 4, 9, 2, 3, 5, 8, 3, 5]})
    mixed = index.mix([1, 2, 3], uniform())
    assert mixed.argmax() == 4


def test_nothing_matches_across_two_parts() -> None:
    index = NgramIndex()
    index.set_document({"prefix": [1, 2], "suffix": [3, 4]})
    probabilities = uniform()
    assert index.mix([1, 2], probabilities) is probabilities
    assert index.draft([1, 2], 4) == []


def test_a_removed_part_is_forgotten() -> None:
    index = NgramIndex()
    index.set_document({"file": [1, 2, 3]}, {"neighbour": [1, 2, 7]})
    assert set(index.predict([1, 2]).tokens.tolist()) == {3, 7}
    index.set_document({"file": [1, 2, 3]})
    assert set(index.predict([1, 2]).tokens.tolist()) == {3}
    index.remove("file")
    assert index.predict([1, 2]).match == len(index) == 0


def test_the_document_speaks_louder_than_its_neighbours() -> None:
    index = NgramIndex()
    index.set_document({"file": [1, 2, 3, 4]}, {"neighbour": [1, 2, 3, 5]})
    mixed = index.mix([1, 2, 3], uniform())
    assert mixed[4] > mixed[5] > mixed[6]
    assert index.draft([1, 2, 3], 1) == [4]


def test_a_draft_follows_the_longest_match_to_the_end_of_its_part() -> None:
    index = NgramIndex()
    index.set_document({"file": [1, 2, 3, 4, 5, 6, 0, 2, 3, 9], "other": [7, 7]})
    assert index.draft([1, 2, 3], 3) == [4, 5, 6]
    assert index.draft([1, 2, 3], 3, shortest=4) == []
    assert index.draft([0, 2, 3], 5) == [9]
    assert index.draft([8, 3], 5) == [], "one matching token is too little to bet on"


@given(tokens, tokens, st.integers(0, 9))
def test_a_draft_is_a_run_of_the_indexed_text(text: list[int], context: list[int], k: int) -> None:
    index = NgramIndex()
    index.update("file", text)
    drafted = index.draft(context, k)
    assert len(drafted) <= k
    assert any(text[at : at + len(drafted)] == drafted for at in range(len(text) + 1))


@pytest.mark.parametrize("weights", [(1.0,), (-0.1,), (0.5,) * (LONGEST_MATCH + 1)])
def test_weights_that_are_no_shares_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights"):
        NgramIndex(weights)


def test_ids_above_sixteen_bits_are_found() -> None:
    index = NgramIndex()
    index.update("file", [70_000, 150_000, 70_000, 3])
    assert sorted(index.predict([70_000]).tokens.tolist()) == [3, 150_000]


def test_mixing_costs_no_more_than_a_few_passes_over_the_vocabulary() -> None:
    rng = np.random.default_rng(0)
    text = (rng.zipf(1.3, 20_000) % 8192).tolist()
    index = NgramIndex()
    index.update("file", text)
    probabilities = rng.random(8192, dtype=np.float32)
    contexts = [text[at - 10 : at] for at in rng.integers(10, len(text), 200)]

    def softmax_cost() -> float:
        began = time.perf_counter()
        for _ in contexts:
            shifted = np.exp(probabilities - probabilities.max())
            shifted / shifted.sum()
        return time.perf_counter() - began

    def mixing_cost() -> float:
        began = time.perf_counter()
        for context in contexts:
            index.mix(context, probabilities)
        return time.perf_counter() - began

    mixing_cost()
    ratios = [mixing_cost() / softmax_cost() for _ in range(7)]
    assert min(ratios) < 20


def test_of_a_frequent_token_a_fair_sample_is_counted() -> None:
    index = NgramIndex(weights=(0.5,))
    index.update("file", [0, 1, 0, 2] * 500)
    mixed = index.mix([0], uniform())
    assert mixed[1] == pytest.approx(mixed[2], rel=0.15)
    assert len(index.predict([0]).tokens) <= MOST_OCCURRENCES
