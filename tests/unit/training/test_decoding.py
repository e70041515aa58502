from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from codeface_lsp.inference.ngram import NgramIndex
from codeface_lsp.inference.token_index import LONGEST_MATCH
from training.corpus import Document
from training.decoding import Completion, Decoder, Vocabulary, heal_end, infill_prompt
from training.judging import cut_block, interval, judge
from training.questions import Question
from training.systems import copied
from training.tune import Observations, best_weights


@pytest.fixture(scope="module")
def vocabulary(words: Tokenizer) -> Vocabulary:
    return Vocabulary(words)


def test_the_bytes_of_tokens_spell_the_text(vocabulary: Vocabulary, documents: list[Document]) -> None:
    text = documents[0].text + "é 漢 \t\r\n"
    assert b"".join(vocabulary.bytes[token] for token in vocabulary.encode(text)) == text.encode()


@pytest.mark.parametrize(
    ("prefix", "typed"),
    [
        ("x = self._no", "._no"),
        ("    return ", " "),
        ("f(", "("),
        ("if a:\n        ", "\n        "),
        ("", ""),
    ],
)
def test_healing_takes_back_the_last_piece(words: Tokenizer, prefix: str, typed: str) -> None:
    assert heal_end(words, prefix) == (prefix[: len(prefix) - len(typed)], typed)


def test_healed_boundaries_are_stable_whatever_follows(words: Tokenizer, documents: list[Document]) -> None:
    text = documents[1].text
    whole = words.encode(text).ids
    for cursor in range(300, 2_000, 7):
        kept, _ = heal_end(words, text[:cursor])
        ids = words.encode(kept).ids
        assert whole[: len(ids)] == ids


def test_a_prompt_keeps_to_its_budget_and_to_whole_lines(
    vocabulary: Vocabulary, documents: list[Document]
) -> None:
    text = max((document.text for document in documents), key=len)
    half = len(text) // 2
    prompt = infill_prompt(vocabulary, "a.py", text[:half], text[half:], 300)
    assert len(prompt.ids) <= 300
    shown = vocabulary.words.decode(prompt.ids, skip_special_tokens=False)
    head, rest = shown.split("<fim_prefix><fim_suffix>")
    suffix, prefix = rest.split("<fim_middle>")
    assert head == "<file_sep>a.py\n"
    assert text[half:].startswith(suffix)
    assert text[:half].endswith("\n" + prefix + prompt.typed.decode())


def test_the_cache_alone_finishes_a_word_as_the_file_does(vocabulary: Vocabulary) -> None:
    text = "first = compute_something(alpha)\nsecond = compute_some"
    prompt = infill_prompt(vocabulary, "a.py", text, "", 200)
    index = NgramIndex()
    index.update("prefix", vocabulary.encode(text))
    decoder = Decoder(None, vocabulary)
    completion = decoder.complete(prompt, decoder.prefill(prompt), index, 20)
    assert completion.text == "thing(alpha)"
    assert completion.confidence < 0


def question(kind: str, prefix: str, truth: str, suffix: str) -> Question:
    return Question(kind, "s", "a.py", prefix, truth, suffix)


def test_judging_looks_at_text_and_syntax() -> None:
    asked = question("whole line", "def f():\n    ", "return 1", "\n")
    right, wrong = (judge("x", asked, Completion(text, -0.1)) for text in ("return 1 ", "return (1"))
    assert (right.exact, right.similarity, right.parses) == (True, 1.0, True)
    assert (wrong.exact, wrong.parses) == (False, False)
    assert 0.5 < wrong.similarity < 1


def test_a_block_ends_where_its_indentation_does() -> None:
    asked = question("block", "def f():\n    ", "a = 1\n    return a", "\n")
    assert cut_block("a = 1\n    return a\nb = 2\n    c", asked) == "a = 1\n    return a"


def test_the_copy_baseline_copies_what_stood_after_the_same_text() -> None:
    before = "x = get(1)\ny = get(2)\nx = g"
    assert copied(question("second half", before, "et(9)", "\n")).text == "et(1)"
    twice = "open()\nclose()\nopen()\n"
    assert copied(question("whole line", twice, "close()", "\n")).text == "close()"
    assert copied(question("whole line", "never()\n", "seen()", "\n")).text == ""


def test_intervals_hold_the_mean_and_narrow_with_more_data() -> None:
    few, many = ([index % 3 == 0 for index in range(n)] for n in (30, 3000))
    (mean, low, high), (_, low_many, high_many) = interval(few), interval(many)
    assert low < mean < high
    assert high_many - low_many < (high - low) / 3


def test_the_fitted_loss_is_that_of_the_index_and_fitting_lowers_it() -> None:
    rng = np.random.default_rng(0)
    text = [int(token) for token in rng.integers(0, 6, 120)]
    index = NgramIndex((0.5,) * LONGEST_MATCH, (0.5,) * LONGEST_MATCH)
    index.set_document({"file": text}, {"other": text[::-1]})
    probabilities = np.full(8, 1 / 8, np.float32)
    seen, nats = Observations(), []
    for at in range(10, 60):
        context, token = text[at - 10 : at], text[at]
        seen.add(
            token,
            float(probabilities[token]),
            (index.levels(context), index.levels(context, neighbours=True)),
        )
        nats.append(-np.log(index.mix(context, probabilities)[token]))
    halves = torch.full((2, LONGEST_MATCH), 0.5)
    assert float(seen.nats(halves)) == pytest.approx(float(np.mean(nats)), abs=1e-4)
    assert float(seen.nats(best_weights(seen))) < float(seen.nats(halves))
