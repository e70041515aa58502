from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from training.corpus import Document
from training.tokenizer import SPECIAL_TOKENS


def test_special_tokens_have_the_first_ids_in_order(words: Tokenizer) -> None:
    assert [words.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(len(SPECIAL_TOKENS)))


def test_every_text_survives(words: Tokenizer, documents: list[Document]) -> None:
    for document in documents:
        assert words.decode(words.encode(document.text).ids, skip_special_tokens=False) == document.text


@given(st.text(alphabet=st.one_of(st.sampled_from("\t \n\r._(é漢😀aA1_\"'"), st.characters(codec="utf-8"))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(words: Tokenizer, text: str) -> None:
    assert words.decode(words.encode(text).ids, skip_special_tokens=False) == text


def test_special_tokens_written_in_a_file_stay_text(words: Tokenizer) -> None:
    ids = words.encode("x = '<fim_middle>'").ids
    assert words.token_to_id("<fim_middle>") not in ids


def test_no_token_holds_more_than_one_line(words: Tokenizer) -> None:
    vocabulary = [
        words.decode([i], skip_special_tokens=False)
        for i in range(len(SPECIAL_TOKENS), words.get_vocab_size())
    ]
    assert all("\n" not in token[1:].replace("\r\n", "", 1) for token in vocabulary)
    assert any(token.startswith("\n    ") for token in vocabulary)


def test_a_name_is_written_the_same_after_a_blank_whatever_follows(words: Tokenizer) -> None:
    name = words.encode(" future").ids
    for following in ("", "(", ".result", " =", "\n", ")"):
        assert words.encode(" future" + following).ids[: len(name)] == name
