from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from training.corpus import Document
from training.holes import block_end, cut
from training.packing import Packed
from training.samples import IGNORED, Mixture, Sampler

LENGTH = 256


def sampler(packed: Packed, words: Tokenizer, mixture: Mixture) -> Sampler:
    return Sampler(packed, words, mixture, seed=3)


def test_the_same_step_gives_the_same_rows_and_another_gives_others(packed: Packed, words: Tokenizer) -> None:
    first = sampler(packed, words, Mixture()).batch(5, 2, LENGTH)
    again = sampler(packed, words, Mixture()).batch(5, 2, LENGTH)
    other = sampler(packed, words, Mixture()).batch(6, 2, LENGTH)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_labels_are_the_next_tokens_and_padding_is_not_learnt(packed: Packed, words: Tokenizer) -> None:
    ids, labels = sampler(packed, words, Mixture()).batch(1, 4, LENGTH)
    learnt = labels[:, :-1] != IGNORED
    assert (labels[:, :-1][learnt] == ids[:, 1:][learnt]).all()
    assert (ids[:, 1:][~learnt] == words.token_to_id("<fim_pad>")).all()


def parts_of(words: Tokenizer, ids: list[int], *marks: str) -> list[str]:
    """The texts between the special tokens, which must stand in this order."""
    at = [ids.index(words.token_to_id(mark)) for mark in marks]
    assert at == sorted(at)
    return [
        words.decode(ids[a + 1 : b], skip_special_tokens=False)
        for a, b in zip(at, [*at[1:], len(ids)], strict=True)
    ]


def test_suffix_first_samples_rebuild_a_piece_of_a_file(
    packed: Packed, words: Tokenizer, documents: list[Document]
) -> None:
    source = sampler(packed, words, Mixture(suffix_first=1.0, header=0.0))
    seen = 0
    for seed in range(40):
        ids = source.sample(np.random.default_rng(seed), LENGTH)
        assert len(ids) <= LENGTH
        assert ids[:2] == [words.token_to_id("<fim_prefix>"), words.token_to_id("<fim_suffix>")]
        suffix, joined, _ = parts_of(words, ids, "<fim_suffix>", "<fim_middle>", "<|endoftext|>")
        assert any(joined + suffix in document.text for document in documents)
        seen += bool(suffix)
    assert seen > 20


def test_prefix_first_samples_rebuild_a_piece_of_a_file(
    packed: Packed, words: Tokenizer, documents: list[Document]
) -> None:
    source = sampler(packed, words, Mixture(suffix_first=0.0, prefix_first=1.0, header=0.0))
    whole = 0
    for seed in range(40):
        ids = source.sample(np.random.default_rng(seed), LENGTH)
        prefix, suffix, middle, _ = parts_of(
            words, ids, "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"
        )
        assert any(prefix + middle in document.text for document in documents)
        whole += any(prefix + middle + suffix in document.text for document in documents)
    assert whole > 30, "only a middle too long for the room is cut short"


def test_extra_context_comes_from_other_files_and_leads_with_their_paths(
    packed: Packed, words: Tokenizer
) -> None:
    source = sampler(packed, words, Mixture(suffix_first=1.0, extra_context=1.0, header=1.0))
    separator = words.token_to_id("<file_sep>")
    with_extra = 0
    for seed in range(30):
        ids = source.sample(np.random.default_rng(seed), 1024)
        head = ids[: ids.index(words.token_to_id("<fim_prefix>"))]
        files = words.decode(head, skip_special_tokens=False).split("<file_sep>")[1:]
        paths = [file.split("\n", 1)[0] for file in files]
        assert head[0] == separator
        assert set(paths) <= set(packed.paths)
        assert paths[-1] not in paths[:-1]
        with_extra += len(paths) > 1
    assert with_extra >= 5


@pytest.mark.parametrize("seed", range(60))
def test_a_hole_leaves_out_nothing(seed: int) -> None:
    text = "def f(a):\n    if a:\n        return g(a)\n    return None\n\n\nx = f(1)\n"
    hole = cut(text, seed % len(text), np.random.default_rng(seed))
    assert hole.prefix + hole.middle + hole.suffix == text


def test_a_block_ends_where_the_indentation_does() -> None:
    text = "def f(a):\n    if a:\n        return 1\n\n    return 2\n\nx = 3\n"
    assert text[: block_end(text, 0)].endswith("return 2")
    assert text[: block_end(text, text.index("if"))].endswith("return 1")
