"""Prompts that are too long are cut at the right end for their kind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeface_lsp.serving.fit import Hole, Turn, first_tokens, fit_hole, fit_turns, last_tokens, room
from codeface_lsp.serving.mock import MockTokenizer

TOKENIZER = MockTokenizer()  # one token per byte


def render(hole: Hole) -> list[int]:
    extra = "".join(f"<{name}>{text}" for name, text in hole.extra)
    return TOKENIZER.encode(f"{extra}|{hole.suffix}|{hole.prefix}")


def shown(hole: Hole, limit: int) -> tuple[str, bool]:
    ids, cut = fit_hole(render, TOKENIZER, hole, limit)
    assert len(ids) <= limit
    return TOKENIZER.decode(ids), cut


def test_what_fits_is_left_alone() -> None:
    hole = Hole("prefix", "suffix", (("a.py", "text"),))
    assert shown(hole, 100) == ("<a.py>text|suffix|prefix", False)


def test_files_go_first_the_first_before_the_later() -> None:
    hole = Hole("prefix", "suffix", (("1", "x" * 40), ("2", "y" * 20), ("3", "z" * 10)))
    assert shown(hole, 60) == ("<2>" + "y" * 20 + "<3>" + "z" * 10 + "|suffix|prefix", True)
    assert shown(hole, 40) == ("<3>" + "z" * 10 + "|suffix|prefix", True)
    assert shown(hole, 20) == ("|suffix|prefix", True)


def test_then_the_suffix_loses_its_end_and_the_prefix_its_beginning_by_lines() -> None:
    hole = Hole(
        "".join(f"line {i}\n" for i in range(20)) + "cursor", "".join(f"after {i}\n" for i in range(20))
    )
    text, cut = shown(hole, 80)
    assert cut
    _, suffix, prefix = text.split("|")
    assert suffix == "after 0\nafter 1\n"
    assert prefix.endswith("line 19\ncursor")
    assert prefix.startswith("line ")


@given(
    st.text(alphabet="ab\n🙂é", max_size=200), st.text(alphabet="ab\né", max_size=100), st.integers(16, 120)
)
def test_no_prompt_is_ever_longer_than_its_limit(prefix: str, suffix: str, limit: int) -> None:
    text, cut = shown(Hole(prefix, suffix), limit)
    if not cut:
        assert text == f"|{suffix}|{prefix}"


@given(st.text(alphabet="ab\n🙂", max_size=60), st.integers(0, 80))
def test_cut_texts_are_parts_of_the_text_without_broken_characters(text: str, count: int) -> None:
    assert text.startswith(first_tokens(TOKENIZER, text, count))
    assert text.endswith(last_tokens(TOKENIZER, text, count))


def test_an_answer_takes_at_most_a_quarter_from_the_prompt() -> None:
    assert room(2048, 128) == 1920
    assert room(2048, 100_000) == 1536
    assert room(2048, 0) == 2047


class TestConversations:
    def fit(self, turns: Sequence[Turn], limit: int) -> tuple[str, bool]:
        def render(turns: Sequence[Turn]) -> list[int]:
            return TOKENIZER.encode("".join(f"[{t.role[0]}]{t.content}" for t in turns))

        ids, cut = fit_turns(render, TOKENIZER, turns, limit)
        assert len(ids) <= limit
        return TOKENIZER.decode(ids), cut

    TURNS = (
        Turn("system", "rules"),
        Turn("user", "first question"),
        Turn("assistant", "first answer"),
        Turn("user", "second question"),
    )

    def test_what_fits_is_left_alone(self) -> None:
        said = "[s]rules[u]first question[a]first answer[u]second question"
        assert self.fit(self.TURNS, 100) == (said, False)

    def test_the_oldest_turns_go_the_system_prompt_stays(self) -> None:
        assert self.fit(self.TURNS, 45) == ("[s]rules[a]first answer[u]second question", True)
        assert self.fit(self.TURNS, 30) == ("[s]rules[u]second question", True)

    @pytest.mark.parametrize("limit", [40, 60])
    def test_a_last_turn_that_is_too_long_keeps_its_end(self, limit: int) -> None:
        turns = [Turn("system", "rules"), Turn("user", "code\n" * 100 + "what is this?")]
        text, cut = self.fit(turns, limit)
        assert cut
        assert text.startswith("[s]rules[u]")
        assert text.endswith("what is this?")
